// Numbers as text has them. Pure.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace text {

// The whole of `word` is a number that `Number` can hold: digits, and a minus sign where it is
// signed; no blanks, no plus sign.
template <typename Number>
std::optional<Number> number(std::string_view word, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

}  // namespace text
