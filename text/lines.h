// Splits small text files into lines, and removes blanks around words. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace text {

inline constexpr std::string_view kBlanks = " \t\r\n";

// Removes the first line from `text` and returns it without its LF. The last line may lack an LF.
inline std::string_view take_line(std::string_view& text) {
  const auto line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

// Returns `text` without blanks at its beginning and end.
inline std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace text
