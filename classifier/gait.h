// Gaits: the finer shapes by which single programs are known. A pattern says "writes line by line";
// a gait says "PHPMailer, or another of the three that cannot be told from it".
//
//     Trace + Writes + Features ─► observe() ─► Steps ─► GaitBook::match() ─► Guess
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
#include "classifier/features.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

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

enum class BodyWay : std::uint8_t { Any, Bulk, Lines };  // few large writes, or one a line
// The terminator's write. Alone3: after a pause, so that it comes apart on any path. Apart: of 3 or
// 5 bytes; an entry that says so holds only where it was seen.
enum class DotWay : std::uint8_t { Any, Joined, Apart3, Apart5, Alone3, Apart };
enum class Held : std::uint8_t { Any, Yes, No };  // Nagle's algorithm, or NODELAY

// Where the first write ended. A cut can be several of these.
enum First : std::uint16_t {
  kFirstNone = 1 << 0,        // no cut inside the message
  kFirstLine = 1 << 1,        // behind the first line
  kFirstLineBare = 1 << 2,    // behind the first line, without its line end
  kFirstField = 1 << 3,       // behind the first field, folded lines included
  kFirstHeaderLine = 1 << 4,  // behind another line of the header
  kFirstHeaderBare = 1 << 5,  // behind the header, before the blank line
  kFirstHeader = 1 << 6,      // behind the blank line
  kFirstEdge = 1 << 7,        // two or three bytes before a field's end
  kFirstInside = 1 << 8,      // inside a header line
  kFirstBody = 1 << 9,        // in the body
  kFirstGrid = 1 << 10,       // inside a header line, but where a usual buffer ends
};

// One message in the terms of the entries.
struct Steps {
  std::uint32_t talk = 0;    // bits by the table of words in gait.cc
  std::uint32_t untold = 0;  // words of which nobody knows: they were said under TLS
  bool helo = false;         // greeted with HELO alone
  bool no_offer = false;  // HELO behind a refused EHLO, or no greeting: extensions were not offered
  std::uint16_t first = 0;   // bits of First; 0: cannot be told
  std::uint32_t offset = 0;  // of the first cut; 0: none
  std::uint32_t size = 0;    // of the message
  bool line_end = false;     // the first cut is a line's end
  bool every = false;        // every write shows (TLS): no block hides in front of the first cut
  std::uint32_t slack = 0;   // sizes may be so much smaller (TLS, CBC)
  bool clean = false;        // nothing was repaired and the path kept its size
  std::uint32_t full = 0;    // payload of a full segment, where the path kept it; else 0
  BodyWay body = BodyWay::Any;
  DotWay dot = DotWay::Any;
  Held held = Held::Any;
  std::array<char, kJa4Size> hello{};  // JA4 print; zeros: none
  bool operator==(const Steps&) const = default;
};

Steps observe(const Trace& trace, const Writes& writes, const Features& features);

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
  Held held = Held::Any;
  std::vector<std::array<char, kJa4Size>> hellos;  // prints that were seen; another is no objection
  bool operator==(const Gait&) const = default;
};

// Who sent a message like this, as far as the entries tell.
struct Guess {
  const Gait* gait = nullptr;     // an entry of the book; null: no single one
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
  Guess match(const Steps& steps) const;
  // Whether `steps` rule out that the gait `name` walked so. False where the book does not know it.
  bool excludes(std::string_view name, const Steps& steps) const;

  const Gait* find(std::string_view name) const;
  const std::vector<Gait>& gaits() const { return gaits_; }

 private:
  std::vector<Gait> gaits_;
};

// The entry as it stands in a file; parsing it gives the same entry.
std::string print(const Gait& gait);

// An entry for a program that is not in the book, from what was seen of its messages: what all of
// them have in common. Empty where they have too little in common.
std::string learn(std::string_view name, const std::vector<Steps>& messages);

// Whether a name may stand in the book and in the header.
bool is_gait_name(std::string_view name);

}  // namespace classifier
