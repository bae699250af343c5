// Functions for ASCII characters that do not depend on the locale. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace text {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Compares two strings. Upper and lower case count as the same.
constexpr bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

constexpr bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// A visible character: no blank, no control character, nothing outside ASCII.
constexpr bool is_visible(char c) {
  return c > 0x20 && c < 0x7f;
}

// True if the text has only visible characters and blanks. Such a text stays on one line wherever
// it is printed.
constexpr bool is_printable(std::string_view line) {
  return std::all_of(line.begin(), line.end(), [](char c) { return c == ' ' || is_visible(c); });
}

}  // namespace text
