// Gaits: the finer shapes by which single programs are known. A pattern says "it writes line by
// line". A gait says "PHPMailer, or one of the programs that cannot be told apart from it".
//
//     Traits (traits.h) ─► GaitBook::match() ─► Guess        gait_match.cc: the essay
//     text ◄─► Gait                                        gait_text.cc
//     the Traits of one program ─► learn() ─► text          gait_learn.h
//
// A book consists of text entries. classifier/gaits/*.gait are compiled in, and an administrator's
// own files come before them. segmilter-gait(5) has the grammar. A book is built once and then
// shared as const: safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/client_hello.h"
#include "classifier/traits.h"

namespace classifier {

enum class GaitClass : std::uint8_t { OfficialMta, Relay, Library, Agent, Script, Bot };
std::string_view name(GaitClass kind);

// What an entry rests on. An entry without a recorded dialogue names no program. It only shows that
// another name would be a guess.
enum class Basis : std::uint8_t {
  Recorded,  // writes and dialogue of the program itself were recorded
  Slides,    // the sizes are those of the talk's slides
  Source,    // the program's source was read; the dialogue is assumed
  Assumed,   // the writes were recorded; the dialogue is assumed
};
std::string_view name(Basis basis);
bool names_programs(Basis basis);

struct Gait {
  static constexpr std::size_t kMaxBlocks = 4;
  static constexpr std::size_t kMaxHellos = 16;

  std::string name;  // [a-z0-9-]+, at most 24
  GaitClass kind = GaitClass::Library;
  std::vector<std::string> programs;  // programs with this gait; several cannot be told apart
  Basis basis = Basis::Recorded;
  std::string seen;  // where it is known from, in words: the version, and what was seen

  bool ehlo = true;             // the program may greet with EHLO
  bool helo = false;            // the program may greet with HELO
  std::uint32_t required = 0;   // words of the dialogue that must be there
  std::uint32_t forbidden = 0;  // words of the dialogue that must not be there
  bool talk_is_enough = false;  // the dialogue alone names it where the writes are not known
  std::uint16_t first = 0;      // the bits of First that fit
  std::array<std::uint32_t, kMaxBlocks> blocks{};  // the first write has one of these sizes; 0:
                                                   // unused
  // The first write ends at the last line end within this many bytes; 0: unused.
  std::array<std::uint32_t, kMaxBlocks> line_blocks{};
  BodyWay body = BodyWay::Any;
  DotWay dot = DotWay::Any;
  NagleSeen nagle = NagleSeen::Any;
  std::vector<std::array<char, kJa4Size>> hellos;  // JA4 fingerprints that were seen of it; another
                                                   // one is no objection
  bool operator==(const Gait&) const = default;
};

// The program that sent the message, as far as the entries show.
struct Guess {
  const Gait* gait = nullptr;  // an entry of the book; null: there is no single one
  // The class of that entry. Without an entry: the class of all entries that fit, if at least two
  // fit, all have that class, and something that was seen speaks for one of them. Else empty.
  std::optional<GaitClass> kind;
};

struct GaitError {
  std::size_t line = 0;  // 1-based
  std::string message;
};

class GaitBook {
 public:
  // The limits of a file. It belongs to the administrator, but it is parsed like hostile input.
  static constexpr std::size_t kMaxGaits = 1024;
  static constexpr std::size_t kMaxText = 1024 * 1024;

  // The compiled-in entries.
  static const std::shared_ptr<const GaitBook>& builtin();

  // Adds the entries of `text` after those of the book. On an error it adds nothing. An entry with
  // a name that is already in the book is an error.
  std::optional<GaitError> add(std::string_view text);
  // Adds the entries of `other` whose names are not in this book.
  void add(const GaitBook& other);

  // Returns the entry that fits best and for which something that was seen speaks. Returns none if
  // no entry fits so, if two fit equally, if what tells two apart was not seen, or if the dialogue
  // of the best one was never recorded.
  Guess match(const Traits& traits) const;
  // Do `traits` rule out the gait `name`? False if the book does not know that gait.
  bool excludes(std::string_view name, const Traits& traits) const;

  const Gait* find(std::string_view name) const;
  const std::vector<Gait>& gaits() const { return gaits_; }

 private:
  std::vector<Gait> gaits_;
};

// The text of the entry as in a file. Parsing it gives an equal entry.
std::string print(const Gait& gait);

// May this name stand in the book and in the header?
bool is_gait_name(std::string_view name);

}  // namespace classifier
