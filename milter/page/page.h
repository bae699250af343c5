// Parts that all HTML pages share: escaping of text from outside, the style sheet, and the patterns
// in words; and the frame of a page that is a file: it has no script and loads nothing. The pages of
// the desk have their own frame (desk/frame.h). Pure; any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "classifier/classify.h"

namespace page {

// Makes text from outside safe, as HTML text or as an attribute value in double quotes. Markup is
// escaped, control characters and characters that change the direction of text are shown as their
// numbers, and bytes that are not UTF-8 become U+FFFD.
std::string escape(std::string_view text);
// The same in a <bdi> element, so that it cannot change the direction of the text beside it.
std::string foreign(std::string_view text);

// The style sheet of all pages: colours (light and dark), tables, and the classes of the pictures.
extern const std::string_view kStyle;  // style.cc

// The beginning of a file up to <main>: content security policy, title, style sheet. kPageEnd ends
// it.
std::string page_begin(std::string_view title);
extern const std::string_view kPageEnd;

// Explains a pattern to a postmaster, for example "blocks of a multiple of 1024 bytes".
std::string_view in_words(classifier::Pattern pattern);
// The class of the style sheet for a pattern: bad, odd, good or soft.
std::string_view class_of(classifier::Pattern pattern);
// The pattern's colour in bars over time (bars.h), less than kBarColours. Patterns that say nearly
// the same share one; the last one is for those that say nothing.
std::size_t colour_of(classifier::Pattern pattern);
// The pattern's name as HTML, in the colour of its class.
std::string named(classifier::Pattern pattern);

// A time of RFC 3339 as HTML. It may be broken between date and hour, and at no other place.
std::string time_element(std::string_view time);

}  // namespace page
