// The words for what a dialogue showed. One table has three uses: the trace notation (`talk=`), the
// entries of gaits (`talk`), and the bits by which a message is compared with an entry.
// segmilter-trace(5) says what each word means. Constant data; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "classifier/trace.h"

namespace classifier {

struct DialogueWord {
  // What it means if an entry of a gait does not name the word.
  enum class Kind : std::uint8_t {
    Habit,         // a habit of programs: the word must not be there
    Extension,     // the word must not be there, if the server offered the extension
    Circumstance,  // content, or an administrator's setting: the word may be there
    Unused,        // entries do not use the word
  };
  // Can the word still be known of a message under TLS?
  enum class UnderTls : std::uint8_t {
    Known,   // yes: it was said in clear before STARTTLS, or follows from who spoke when
    Hidden,  // no: only the bytes of MAIL show it
    Shown,   // yes: Postfix shows it to the milter
  };

  std::string_view word;
  bool Dialogue::*member;  // null: it follows from several things, and a trace does not print it
  Kind kind;
  UnderTls under_tls = UnderTls::Known;
};

// The order is that in which a trace is printed.
inline constexpr auto kDialogueWords = [] {
  using enum DialogueWord::Kind;
  using enum DialogueWord::UnderTls;
  return std::to_array<DialogueWord>({
      {"lower", &Dialogue::lower_case, Habit},
      {"early", &Dialogue::early_talker, Circumstance},
      {"early-data", &Dialogue::early_data, Circumstance},
      {"pipelined", &Dialogue::pipelined, Unused},
      {"helo-ahead", &Dialogue::helo_ahead, Unused},
      {"split", &Dialogue::split_command, Habit},
      {"bare-lf", &Dialogue::bare_lf, Habit},
      {"quit-with-dot", &Dialogue::quit_with_dot, Circumstance},
      {"colon-space", &Dialogue::space_after_colon, Habit, Hidden},
      {"mixed-case", &Dialogue::mixed_case, Habit, Hidden},
      {"soft-path", &Dialogue::soft_path, Habit, Hidden},
      {"trailing-space", &Dialogue::trailing_space, Habit, Hidden},
      {"fallback", &Dialogue::fallback, Unused},
      {"literal", &Dialogue::literal, Circumstance},
      {"dotless", &Dialogue::dotless, Circumstance},
      {"auth", &Dialogue::auth, Circumstance},
      {"rset", &Dialogue::rset, Circumstance},
      {"8bit", &Dialogue::eight_bit, Extension, Shown},
      {"7bit", &Dialogue::seven_bit, Extension, Shown},
      {"body-first", &Dialogue::body_first, Extension, Shown},
      {"dsn", &Dialogue::dsn, Extension, Shown},
      {"rcpt-ahead", &Dialogue::rcpt_ahead, Extension},
      {"data-ahead", &Dialogue::data_ahead, Extension},
      {"blank-end", &Dialogue::blank_end, Circumstance, Shown},
      // These follow from SIZE= of MAIL and from the first header field.
      {"size", nullptr, Extension, Shown},
      {"size-near", nullptr, Extension, Shown},
      {"size-over", nullptr, Extension, Shown},
      {"size-under", nullptr, Extension, Shown},
      {"received", nullptr, Circumstance, Shown},
  });
}();

// A set of words has one bit for each word, at the word's place in the table.
inline constexpr std::size_t kDialogueWordCount = kDialogueWords.size();
static_assert(kDialogueWordCount <= 32);

// Returns 0 for a word that is not in the table, or that entries do not use.
constexpr std::uint32_t bit_of(std::string_view word) {
  for (std::size_t i = 0; i < kDialogueWordCount; ++i) {
    const DialogueWord& row = kDialogueWords[i];
    if (row.word == word && row.kind != DialogueWord::Kind::Unused) return 1U << i;
  }
  return 0;
}

// The place of each word in the table, as bits, that a trace of this dialogue prints.
constexpr std::uint32_t words_of(const Dialogue& dialogue) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kDialogueWordCount; ++i) {
    const auto member = kDialogueWords[i].member;
    if (member != nullptr && dialogue.*member) bits |= 1U << i;
  }
  return bits;
}

// Prints words as "early,split"; "-" if there is none. Reads only words that words_of() can give.
std::string print_words(std::uint32_t words);
std::optional<std::uint32_t> words_named(std::string_view text);

// All words whose `member` has this value: all_words(&DialogueWord::kind,
// DialogueWord::Kind::Habit).
template <typename Value>
constexpr std::uint32_t all_words(Value DialogueWord::*member, Value value) {
  std::uint32_t bits = 0;
  for (std::size_t i = 0; i < kDialogueWordCount; ++i) {
    if (kDialogueWords[i].*member == value) bits |= 1U << i;
  }
  return bits;
}

inline constexpr std::uint32_t kHabits = all_words(&DialogueWord::kind, DialogueWord::Kind::Habit);
inline constexpr std::uint32_t kExtensions =
    all_words(&DialogueWord::kind, DialogueWord::Kind::Extension);

// The words that compare SIZE= with the bytes that were sent.
inline constexpr std::uint32_t kSizes =
    bit_of("size-near") | bit_of("size-over") | bit_of("size-under");
static_assert(kSizes != 0);

}  // namespace classifier
