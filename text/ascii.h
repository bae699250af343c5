// Characters of ASCII, whatever the locale says. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace text {

constexpr char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Without regard to letter case.
constexpr bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

constexpr bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// What is seen when it is printed: no blank, no control character, nothing beyond ASCII.
constexpr bool is_visible(char c) {
  return c > 0x20 && c < 0x7f;
}

// Visible characters and blanks only, so that it is one line wherever it is printed.
constexpr bool is_printable(std::string_view line) {
  return std::all_of(line.begin(), line.end(), [](char c) { return c == ' ' || is_visible(c); });
}

}  // namespace text
