// The words of an enum, in the order of its enumerators: from value to word and from word to value.
// For enums that count from 0 without gaps. The compiler counts the enumerators, so a table with
// too few or too many words does not compile.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace classifier {

// Has an enumerator this value? The compiler's text of this function ends with "kValue =
// classifier::Via::Read]" if one has it, and else with "kValue = (classifier::Via)5]".
template <auto kValue>
consteval bool is_enumerator() {
  constexpr std::string_view kBefore = "kValue = ";
  constexpr std::string_view text = __PRETTY_FUNCTION__;
  static_assert(text.rfind(kBefore) != text.npos, "this compiler spells its functions otherwise");
  return text[text.rfind(kBefore) + kBefore.size()] != '(';
}

// The number of enumerators, counted from `kFrom` on.
template <typename Enum, std::size_t kFrom = 0>
consteval std::size_t enumerators() {
  if constexpr (is_enumerator<static_cast<Enum>(kFrom)>()) return enumerators<Enum, kFrom + 1>();
  return kFrom;
}

// Returns "?" if no enumerator has this value.
template <typename Enum, std::size_t N>
constexpr std::string_view word(const std::array<std::string_view, N>& names, Enum value) {
  static_assert(N == enumerators<Enum>(), "one word for each enumerator");
  const auto index = static_cast<std::size_t>(value);
  return index < N ? names[index] : std::string_view("?");
}

template <typename Enum, std::size_t N>
constexpr std::optional<Enum> find(const std::array<std::string_view, N>& names,
                                   std::string_view text) {
  static_assert(N == enumerators<Enum>(), "one word for each enumerator");
  for (std::size_t i = 0; i < N; ++i) {
    if (names[i] == text) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace classifier
