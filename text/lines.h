// Text as small files have it: lines, and blanks around what stands in them. Pure.
#pragma once

#include <algorithm>
#include <string_view>

namespace text {

inline constexpr std::string_view kBlanks = " \t\r\n";

// Takes the first line off `text`; without its LF. The last line may have none.
inline std::string_view take_line(std::string_view& text) {
  const auto line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  return line;
}

// Without the blanks around it.
inline std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

}  // namespace text
