// How a message looks on a page: pictures in SVG, drawn with the classes of page.h's style sheet.
// Every page that shows messages uses them, so that they look alike.
//
//     wire    ▕███▏▕███████▏▕███████████▏   segments, to scale
//     writes  ▕███████████▏▕███████████▏   what the program handed over, as recovered
//                 ┆ landmarks across both
//
// Widths are shares of the picture's own width and heights are fixed, so that a picture fits any
// screen and its letters stay readable. Nothing needs a script, a file or a style attribute. Pure;
// any thread.
#pragma once

#include <string>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace.h"

namespace offline {

// The whole message; above it, where the header is too narrow to see, the header at a scale of its
// own. Empty where no segment was seen.
std::string picture(const classifier::Trace& trace, const classifier::Verdict& verdict);

// The same in a line's height, for a table: the header, where it is known, takes the left third.
std::string mini_picture(const classifier::Trace& trace, const classifier::Verdict& verdict);

// What the colours and lines of the pictures mean.
std::string picture_legend();

}  // namespace offline
