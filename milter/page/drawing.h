// Draws a message as an SVG picture, with the classes of page.h's style sheet. All pages use these
// functions, so that messages look the same everywhere.
//
//     wire    ▕███▏▕███████▏▕███████████▏   segments, to scale
//     writes  ▕███████████▏▕███████████▏   the program's writes, as recovered
//                 ┆ landmarks cross both rows
//
// Widths are shares of the picture's width and heights are fixed, so that a picture fits every
// screen and its text stays readable. The pictures need no script, no other file and no style
// attribute. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace.h"

namespace page {

// The whole message. If the message's header is too narrow to see, the header is drawn above, at a
// larger scale. Empty if no segment was seen.
std::string picture(const classifier::Trace& trace, const classifier::Verdict& verdict);

// The same picture with the height of one line, for a table. If the end of the header is known, the
// header takes the left third.
std::string mini_picture(const classifier::Trace& trace, const classifier::Verdict& verdict);

// Explains the colours and lines of the pictures, as an HTML list.
std::string picture_legend();

}  // namespace page
