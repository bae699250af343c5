// The words of an enum, in the order of its enumerators: to a word and back. For enums that count
// from 0 without gaps. How many enumerators there are is asked of the compiler, so that a table of
// words that is too short or too long does not compile.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

namespace classifier {

// Whether an enumerator has this value. The compiler's own text of this function ends with
// "kValue = classifier::Via::Read]", or with "kValue = (classifier::Via)5]" where none has it.
template <auto kValue>
consteval bool is_enumerator() {
  constexpr std::string_view kBefore = "kValue = ";
  constexpr std::string_view text = __PRETTY_FUNCTION__;
  static_assert(text.rfind(kBefore) != text.npos, "this compiler spells its functions otherwise");
  return text[text.rfind(kBefore) + kBefore.size()] != '(';
}

// How many enumerators the enum has, counted from `kFrom` on.
template <typename Enum, std::size_t kFrom = 0>
consteval std::size_t enumerators() {
  if constexpr (is_enumerator<static_cast<Enum>(kFrom)>()) return enumerators<Enum, kFrom + 1>();
  return kFrom;
}

// "?": no enumerator has this value.
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
