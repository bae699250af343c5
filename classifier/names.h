// The words of an enum, in the order of its enumerators: to a word and back. For enums that count
// from 0 without gaps.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace classifier {

// "?": no enumerator has this value.
template <typename Enum, std::size_t N>
constexpr std::string_view word(const std::array<std::string_view, N>& names, Enum value) {
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : std::string_view("?");
}

template <typename Enum, std::size_t N>
constexpr std::optional<Enum> find(const std::array<std::string_view, N>& names,
                                   std::string_view text) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace classifier
