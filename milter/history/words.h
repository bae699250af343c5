// From words back to values. Internal to history. Pure.
#pragma once

#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>
#include <system_error>

#include "classifier/enum_names.h"

namespace history {

// For enums that have a function name().
template <typename Enum>
std::optional<Enum> named(std::string_view word) {
  for (std::size_t i = 0; i < classifier::enumerators<Enum>(); ++i) {
    if (name(static_cast<Enum>(i)) == word) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

// The whole word has to be a finite number.
inline std::optional<double> decimal(std::string_view word) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  const bool good =
      error == std::errc{} && end == word.data() + word.size() && std::isfinite(value);
  return good ? std::optional(value) : std::nullopt;
}

}  // namespace history
