// What was seen of one message, in the words in which a gait describes a program: where its first
// write ended, how its body and its terminator were written, and what was said in its dialogue.
//
//     Trace + Writes + Features ─► observe() ─► Traits ─► GaitBook::match(), learn()
//
// Pure functions; any thread.
#pragma once

#include <array>
#include <cstdint>

#include "classifier/client_hello.h"
#include "classifier/features.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

enum class BodyWay : std::uint8_t { Any, Bulk, Lines };  // few large writes, or one a line
// The terminator's write. Alone3: after a pause, so that it comes apart on any path. Apart: of 3 or
// 5 bytes; an entry that says so holds only where it was seen.
enum class DotWay : std::uint8_t { Any, Joined, Apart3, Apart5, Alone3, Apart };
enum class NagleSeen : std::uint8_t { Any, Yes, No };  // No: TCP_NODELAY was set

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

// One message, in the words in which entries of the book describe programs.
struct Traits {
  std::uint32_t talk = 0;    // bits by the table of dialogue_words.h
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
  NagleSeen nagle = NagleSeen::Any;
  std::array<char, kJa4Size> hello{};  // JA4 fingerprint; zeros: none
  bool operator==(const Traits&) const = default;
};

Traits observe(const Trace& trace, const Writes& writes, const Features& features);

// Does a writer of `block` show its first cut where `traits` have it? It is the first multiple that
// is no whole number of segments. Exim's buffer ends a byte early or late where a line end crosses
// it. Requires: block != 0, traits.offset != 0. Inline: a match asks for each block of each entry.
inline bool first_of_blocks(std::uint32_t block, const Traits& traits) {
  constexpr std::uint32_t kMostBlocks = 8;  // blocks of whole segments that hide in front of a cut
  const std::uint32_t slack = block % 2 == 1 ? 1 : 0;
  if (traits.slack != 0) {
    return traits.offset + slack >= block && traits.offset <= block + slack + traits.slack;
  }
  const std::uint32_t times = (traits.offset + slack) / block;
  if (times == 0 || times > (traits.every ? 1 : kMostBlocks)) return false;
  const std::uint32_t ideal = times * block;
  const std::uint32_t off = traits.offset > ideal ? traits.offset - ideal : ideal - traits.offset;
  if (off > slack * times) return false;
  for (std::uint32_t i = 1; i < times && traits.full != 0; ++i) {
    if (i * block % traits.full != 0) return false;
  }
  return true;
}

}  // namespace classifier
