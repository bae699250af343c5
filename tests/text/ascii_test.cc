// Tests text/ascii.
#include "text/ascii.h"

#include <catch2/catch.hpp>

TEST_CASE("words are the same in any letter case of ASCII") {
  CHECK(text::same("Data", "dATA"));
  CHECK(text::same("", ""));
  CHECK_FALSE(text::same("DATA", "DATA "));
  CHECK_FALSE(text::same("@", "`"));        // 0x40 and 0x60 differ by the bit of letter case
  CHECK_FALSE(text::same("\xc4", "\xe4"));  // a Latin-1 letter in both cases
}

TEST_CASE("blanks, control characters and bytes outside ASCII are not visible") {
  for (const char c : {'!', 'a', '~'}) CHECK((text::is_visible(c) && !text::is_control(c)));
  for (const char c : {'\0', '\t', '\x1b', '\x7f'}) {
    CHECK((!text::is_visible(c) && text::is_control(c)));
  }
  for (const char c : {' ', '\x80', '\xff'}) CHECK((!text::is_visible(c) && !text::is_control(c)));
}

TEST_CASE("a text is printable if it is one line of ASCII") {
  for (const char* line : {"", " ", "two words", "~!"}) CHECK(text::is_printable(line));
  for (const char* line : {"a\n", "\t", "\x1b[0m", "\x7f", "\xc3\xa4"}) {
    CHECK_FALSE(text::is_printable(line));
  }
}
