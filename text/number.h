// Reads numbers from text. Pure.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>

namespace text {

// Reads the whole of `word` as a number of type `Number`. Allowed are digits, and a minus sign if
// the type is signed; blanks and a plus sign are not. Returns nullopt for anything else, and if the
// value does not fit.
template <typename Number>
std::optional<Number> number(std::string_view word, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value, base);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

}  // namespace text
