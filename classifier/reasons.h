// Why a verdict is what it is. The list is short and cheap, and it is put into words only on
// request. Judging a message takes one or two microseconds. Formatting a dozen sentences would take
// ten times that, and most of them are never read. The list lives inside the verdict, without heap
// memory. Pure; a value, so as safe between threads as any value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/signs.h"

namespace classifier {

// What is said. reasons.cc has a sentence and a word for each. a, b and c are its numbers.
enum class Because : std::uint8_t {
  Text,          // a text, as it was given
  Term,          // a term of the score
  BlockEnds,     // a of b write ends are multiples of c
  FirstAtLine,   // first write ends at a, the first line's end
  FirstAtField,  // … the first field's
  FirstAtHeaderLine,
  FirstAtHeaderEnd,
  FirstAtBody,     // … the blank line after the header
  FirstAtNothing,  // … a place where no line, field or buffer ends
  ReceivedAlone,
  InsideHeader,  // a writes end inside a header line
  OddCuts,       // all segments are full, except a cuts in the body
  OneSegment,
  Chunks,        // a BDAT chunks
  ReadsHide,     // reads joined the segments before byte a unevenly; 0: somewhere
  OneWrite,      // one write, then the end
  FullThenTail,  // a full segments and a tail
  LineBuffer,
  HeaderHole,  // not all of the header was seen
  Terminator,  // the terminator has a write of its own
  Encrypted,
  UnderTls,       // under TLS, known by records
  Near,           // the message has a bytes more or less than were shown; 0: it is not known
  Repaired,       // a of b segments repaired
  Noise,          // a of b segments repaired, c cuts unexplained
  FullSizeMoves,  // the full size moves between a and b, c times
  SegmentsOf,     // a full segments of b bytes
  NoneFull,       // full segments would have a bytes, but none was seen
  Partial,        // partial: text
  Relayed,        // a buffer of a bytes, which no known program with this dialogue has
  ShortFlight,    // the first flight had a bytes
  OneSided,       // the server's answers were assumed
  PushedBlocks,   // a of b full segments have PSH, exactly those in which a block of c ends
  PushedEnds,     // a of b full segments have PSH
  Added,          // a term that the caller has added: text, from a of b messages in c days
};

// A term of a score that does not come from the evidence of the message: the caller adds it.
struct AddedTerm {
  std::string_view kind;  // one word: "network"
  std::string_view name;  // "192.0.2.0/24"; empty: not known any more
  double weight = 0;      // log-odds
  std::uint32_t bad = 0;  // of `all` messages in `days` days
  std::uint32_t all = 0;
  std::uint32_t days = 0;
};

// A verdict gives about ten. Reasons beyond the limit are dropped, so no evidence can make a
// verdict grow.
class Reasons {
 public:
  static constexpr std::size_t kMost = 20;
  // Room for terms that the caller adds, which have to be there for the score to be their sum.
  static constexpr std::size_t kMostAdded = 4;
  static constexpr std::size_t kLongestText = 92;  // longer texts are cut

  struct Entry {
    Because because = Because::Text;
    std::uint8_t length = 0;
    float weight = 0;
    const Sign* sign = nullptr;  // the sign of a term
    std::array<std::uint32_t, 3> numbers{};
    std::array<char, kLongestText> text{};
  };

  void add(Because because, std::uint32_t a = 0, std::uint32_t b = 0, std::uint32_t c = 0);
  void add_text(Because because, std::string_view text);
  void add_term(const Term& term);
  // Terms beyond kMostAdded are dropped. This does not change the score: the caller does.
  void add_added(const AddedTerm& term);
  void clear() { count_ = added_ = 0; }
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Because because(std::size_t at) const { return entries_[at].because; }
  // The weight has the precision of a float. The views live as long as this object. Requires:
  // because(at) == Because::Term.
  Term term(std::size_t at) const;
  // Likewise. Requires: because(at) == Because::Added.
  AddedTerm added(std::size_t at) const;
  // In words: "3 of 4 write ends are multiples of 4096". Requires: at < size().
  std::string sentence(std::size_t at) const;
  // As one word without blanks: "block-ends:3/4/4096". Requires: at < size().
  std::string word(std::size_t at) const;

  // All reasons as sentences.
  std::vector<std::string> sentences() const;

  // Copies only the entries in use.
  Reasons() = default;
  Reasons(const Reasons& other) { *this = other; }
  Reasons& operator=(const Reasons& other);

 private:
  std::string put(std::string_view form, std::size_t at) const;

  bool take(Because because, std::uint32_t a, std::uint32_t b, std::uint32_t c, bool is_added);

  std::size_t count_ = 0;
  std::size_t added_ = 0;  // of these
  std::array<Entry, kMost + kMostAdded> entries_;
};

// The reasons as words for a header or a log line: "first-line:40,dot-apart,line-writer:+0.5".
// Never longer than `most` characters. Words that do not fit are counted at the end: "+3". No word
// comes from the message. The README has the grammar.
inline constexpr std::size_t kLongestWhy = 200;
std::string print_why(const Reasons& reasons, std::size_t most = kLongestWhy);

}  // namespace classifier
