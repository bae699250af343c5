#include "classifier/dialogue_words.h"

namespace classifier {
namespace {

constexpr std::string_view kNoWord = "-";

// Returns 0 for a word that words_of() cannot give.
std::uint32_t bit_of_printed(std::string_view word) {
  for (std::size_t i = 0; i < kDialogueWordCount; ++i) {
    const DialogueWord& row = kDialogueWords[i];
    if (row.word == word && row.member != nullptr) return 1U << i;
  }
  return 0;
}

}  // namespace

std::string print_words(std::uint32_t words) {
  std::string text;
  for (std::size_t i = 0; i < kDialogueWordCount; ++i) {
    if ((words & (1U << i)) == 0) continue;
    if (!text.empty()) text += ',';
    text += kDialogueWords[i].word;
  }
  return text.empty() ? std::string(kNoWord) : text;
}

std::optional<std::uint32_t> words_named(std::string_view text) {
  if (text == kNoWord) return 0;
  std::uint32_t words = 0;
  for (;;) {
    const std::string_view word = text.substr(0, text.find(','));
    const std::uint32_t bit = bit_of_printed(word);
    if (bit == 0) return std::nullopt;
    words |= bit;
    if (word.size() == text.size()) return words;
    text.remove_prefix(word.size() + 1);
  }
}

}  // namespace classifier
