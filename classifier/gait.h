// Gaits: the finer shapes by which single programs are known. A pattern says "writes line by line";
// a gait says "PHPMailer, or another of the three that cannot be told from it".
//
//     Traits (traits.h) ─► GaitBook::match() ─► Guess        gait_match.cc
//     text ◄─► Gait                                        gait_text.cc
//     the Traits of one program ─► learn() ─► text          gait_learn.h
//
// A book is made of text entries (classifier/gaits/*.gait are compiled in; an administrator's own
// files come in front of them). classifier/README.md has the grammar. A book is built once and then
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

// What an entry rests on. One whose dialogue nobody has recorded names nothing: it says only that
// another name would be a guess.
enum class Basis : std::uint8_t {
  Recorded,  // writes and dialogue of the program itself were recorded
  Slides,    // sizes as the talk's slides give them
  Source,    // read in the program's source; the dialogue is assumed
  Assumed,   // writes were recorded, the dialogue was not looked at
};
std::string_view name(Basis basis);
bool names_programs(Basis basis);

struct Gait {
  static constexpr std::size_t kMaxBlocks = 4;
  static constexpr std::size_t kMaxHellos = 16;

  std::string name;  // [a-z0-9-]+, at most 24
  GaitClass kind = GaitClass::Library;
  std::vector<std::string> programs;  // that walk so; more than one: they cannot be told apart
  Basis basis = Basis::Recorded;
  std::string seen;  // provenance in words: which version, what was seen of it

  bool ehlo = true;             // may greet with EHLO
  bool helo = false;            // may greet with HELO
  std::uint32_t required = 0;   // talk
  std::uint32_t forbidden = 0;  // talk
  bool talk_is_enough = false;  // the dialogue alone names it when the writes cannot be told
  std::uint16_t first = 0;      // bits of First that are right
  std::array<std::uint32_t, kMaxBlocks> blocks{};  // first write of this size; 0: unused
  // First write ends at the last line end within so many bytes; 0: unused.
  std::array<std::uint32_t, kMaxBlocks> line_blocks{};
  BodyWay body = BodyWay::Any;
  DotWay dot = DotWay::Any;
  NagleSeen nagle = NagleSeen::Any;
  std::vector<std::array<char, kJa4Size>> hellos;  // prints that were seen; another is no objection
  bool operator==(const Gait&) const = default;
};

// Who sent a message like this, as far as the entries tell.
struct Guess {
  const Gait* gait = nullptr;  // an entry of the book; null: no single one
  // The entry's class. Without one: the class of all entries that fit, where those are several;
  // empty: they have none in common, or nothing seen speaks for any of them.
  std::optional<GaitClass> kind;
};

struct GaitError {
  std::size_t line = 0;  // 1-based
  std::string message;
};

class GaitBook {
 public:
  // What a file may hold at most; input is an administrator's, but it is parsed like a stranger's.
  static constexpr std::size_t kMaxGaits = 1024;
  static constexpr std::size_t kMaxText = 1024 * 1024;

  // The entries that are compiled in.
  static const std::shared_ptr<const GaitBook>& builtin();

  // Adds the entries of `text` behind those that are there; on error nothing is added. An entry
  // with the name of one that is there already is refused.
  std::optional<GaitError> add(std::string_view text);
  // Adds those of `other` whose names are not here yet.
  void add(const GaitBook& other);

  // The one entry that fits best and that something seen speaks for. No entry: none fits so, two
  // fit alike, what tells two apart was not heard, or the best one's dialogue was never recorded.
  Guess match(const Traits& traits) const;
  // Whether `traits` rule out that the gait `name` walked so. False where the book does not know it.
  bool excludes(std::string_view name, const Traits& traits) const;

  const Gait* find(std::string_view name) const;
  const std::vector<Gait>& gaits() const { return gaits_; }

 private:
  std::vector<Gait> gaits_;
};

// The entry as it stands in a file; parsing it gives the same entry.
std::string print(const Gait& gait);

// Whether a name may stand in the book and in the header.
bool is_gait_name(std::string_view name);

}  // namespace classifier
