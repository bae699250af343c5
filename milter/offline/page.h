// What every page has: text from outside made safe, one style sheet, a head with a content policy,
// and patterns in words. Pages need no script and load nothing. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "classifier/classify.h"

namespace offline {

// Text from outside, as HTML text or the value of an attribute in double quotes: markup is escaped,
// control characters and those that change the direction of text are shown by their numbers, what
// is no UTF-8 becomes U+FFFD.
std::string escape(std::string_view text);

// Colours (light and dark), the pictures' classes, tables, and what both pages need.
extern const std::string_view kStyle;

// A page up to <main>: content policy, title, style sheet. What ends it is kPageEnd.
std::string page_begin(std::string_view title);
extern const std::string_view kPageEnd;

// "blocks of a multiple of 1024 bytes": what a postmaster can make of a pattern's name.
std::string_view in_words(classifier::Pattern pattern);
// Class of the style sheet for a pattern's name: bad, odd, good or soft.
std::string_view class_of(classifier::Pattern pattern);

}  // namespace offline
