// The words for what a dialogue showed. One table for three uses: the trace notation (`talk=`), the
// entries of gaits (`talk`), and the bits by which what was seen is compared with an entry.
// classifier/README.md says what each word means. Constant data; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "classifier/trace.h"

namespace classifier {

struct DialogueWord {
  // What a word that an entry of a gait does not name says about the entry.
  enum class Kind : std::uint8_t {
    Habit,         // of the program: it must not be there, and if it is the program is another one
    Extension,     // it must not be there; but the server may not have offered it
    Circumstance,  // content, or what an administrator has set: it may be there
    Unused,        // no word for entries
  };
  // How it is still known of a message under TLS.
  enum class UnderTls : std::uint8_t {
    Known,   // said in clear before STARTTLS, or told by who spoke when
    Hidden,  // it is not: only the bytes of MAIL tell
    Shown,   // the milter is shown it
  };

  std::string_view word;
  bool Dialogue::*member;  // null: made from more than one thing, and no word of a trace
  Kind kind;
  UnderTls under_tls = UnderTls::Known;
};

// In the order in which a trace is printed.
inline constexpr auto kDialogueWords = [] {
  using enum DialogueWord::Kind;
  using enum DialogueWord::UnderTls;
  return std::to_array<DialogueWord>({
      {"lower", &Dialogue::lower_case, Habit},
      {"early", &Dialogue::early_talker, Circumstance},
      {"early-data", &Dialogue::early_data, Circumstance},
      {"pipelined", &Dialogue::pipelined, Unused},
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
      // SIZE= of MAIL, and the first header field.
      {"size", nullptr, Extension, Shown},
      {"size-near", nullptr, Extension, Shown},
      {"size-over", nullptr, Extension, Shown},
      {"size-under", nullptr, Extension, Shown},
      {"received", nullptr, Circumstance, Shown},
  });
}();

// Sets of words: a bit each, by their place in the table.
inline constexpr std::size_t kDialogueWordCount = kDialogueWords.size();
static_assert(kDialogueWordCount <= 32);

// 0: no word of the table, or one that entries do not use.
constexpr std::uint32_t bit_of(std::string_view word) {
  for (std::size_t i = 0; i < kDialogueWordCount; ++i) {
    const DialogueWord& row = kDialogueWords[i];
    if (row.word == word && row.kind != DialogueWord::Kind::Unused) return 1U << i;
  }
  return 0;
}

// All whose `member` is `value`: all_words(&DialogueWord::kind, DialogueWord::Kind::Habit).
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

// How SIZE= compares with what was sent.
inline constexpr std::uint32_t kSizes =
    bit_of("size-near") | bit_of("size-over") | bit_of("size-under");
static_assert(kSizes != 0);

}  // namespace classifier
