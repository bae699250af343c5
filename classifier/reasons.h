// Why a verdict is what it is: a short list that is cheap to make and is put into words only when
// somebody asks. A message is judged in a microsecond or two; formatting a dozen sentences would
// take ten times that, and most are never read. No heap: the list lives inside the verdict.
// Pure; a value, safe from any thread as values are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/signs.h"

namespace classifier {

// What is said; reasons.cc has a sentence and a word for each. Numbers are its a, b and c.
enum class Because : std::uint8_t {
  Text,          // as it was given
  Term,          // a term of the score
  BlockEnds,     // a of b write ends are multiples of c
  FirstAtLine,   // first write ends at a, the first line's end
  FirstAtField,  // … the first field's
  FirstAtHeaderLine,
  FirstAtHeaderEnd,
  FirstAtBody,     // … behind the header's blank line
  FirstAtNothing,  // … where nothing ends
  ReceivedAlone,
  InsideHeader,  // a writes end inside a header line
  OddCuts,       // full segments but for a cuts in the body
  OneSegment,
  Chunks,        // a BDAT chunks
  ReadsHide,     // reads joined the segments in front of byte a unevenly; 0: somewhere
  OneWrite,      // one write, then the end
  FullThenTail,  // a full segments and a tail
  LineBuffer,
  HeaderHole,  // not all of the header was seen
  Terminator,  // the terminator came apart
  Encrypted,
  UnderTls,       // under TLS, by records
  Near,           // a bytes more or less than the milter was shown; 0: not known how many
  Repaired,       // a of b segments repaired
  Noise,          // a of b segments repaired, c cuts unexplained
  FullSizeMoves,  // between a and b, c times
  SegmentsOf,     // a segments of b
  NoneFull,       // segments of a are possible, none was full
  Partial,        // partial: text
  Relayed,        // a buffer of a, which no known program with this dialogue has
  ShortFlight,    // the first flight had a bytes
  OneSided,       // answers were assumed
};

// A verdict gives about ten. What comes behind the last place is dropped: no evidence can make a
// verdict grow.
class Reasons {
 public:
  static constexpr std::size_t kMost = 20;
  static constexpr std::size_t kLongestText = 92;  // longer texts are cut

  struct Entry {
    Because because = Because::Text;
    std::uint8_t length = 0;
    float weight = 0;
    const Sign* sign = nullptr;  // of a term
    std::array<std::uint32_t, 3> numbers{};
    std::array<char, kLongestText> text{};
  };

  void add(Because because, std::uint32_t a = 0, std::uint32_t b = 0, std::uint32_t c = 0);
  void add_text(Because because, std::string_view text);
  void add_term(const Term& term);
  void clear() { count_ = 0; }
  std::size_t size() const { return count_; }
  bool empty() const { return count_ == 0; }
  Because because(std::size_t at) const { return entries_[at].because; }
  // With a weight as precise as a float, and with views that live as long as this. Requires:
  // because(at) == Because::Term.
  Term term(std::size_t at) const;
  // In words: "3 of 4 write ends are multiples of 4096". Requires: at < size().
  std::string sentence(std::size_t at) const;
  // As one word without blanks: "block-ends:3/4/4096". Requires: at < size().
  std::string word(std::size_t at) const;

  // All of them, in words.
  std::vector<std::string> sentences() const;

  // Copies only the places in use.
  Reasons() = default;
  Reasons(const Reasons& other) { *this = other; }
  Reasons& operator=(const Reasons& other);

 private:
  std::string put(std::string_view form, std::size_t at) const;

  std::size_t count_ = 0;
  std::array<Entry, kMost> entries_;
};

// The same as words for a header or a log line: "first-line:40,dot-apart,line-writer:+0.5". Never
// longer than `most` characters: what does not fit is counted at the end, "+3". No word of the
// message is in it. The README has the grammar.
inline constexpr std::size_t kLongestWhy = 200;
std::string print_why(const Reasons& reasons, std::size_t most = kLongestWhy);

}  // namespace classifier
