// What was seen of one message, in the words in which a gait describes a program: the end of the
// first write, the way in which the body and the terminator were written, and the commands and
// habits of the dialogue.
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

enum class BodyWay : std::uint8_t { Any, Bulk, Lines };  // few large writes, or one write per line
// How the terminator was written. Alone3: after a pause, so that it has a segment of its own on any
// path. Apart: in a write of 3 or of 5 bytes; an entry with this word fits only where such a write
// was seen.
enum class DotWay : std::uint8_t { Any, Joined, Apart3, Apart5, Alone3, Apart };
enum class NagleSeen : std::uint8_t { Any, Yes, No };  // No: TCP_NODELAY was set

// Where the first write ended. One cut can be several of these.
enum First : std::uint16_t {
  kFirstNone = 1 << 0,        // no cut inside the message
  kFirstLine = 1 << 1,        // at the end of the first line
  kFirstLineBare = 1 << 2,    // at the end of the first line, before its line end
  kFirstField = 1 << 3,       // at the end of the first field with its folded lines
  kFirstHeaderLine = 1 << 4,  // at the end of another line of the header
  kFirstHeaderBare = 1 << 5,  // at the end of the header, before the blank line
  kFirstHeader = 1 << 6,      // after the blank line
  kFirstEdge = 1 << 7,        // two or three bytes before a field's end
  kFirstInside = 1 << 8,      // inside a header line
  kFirstBody = 1 << 9,        // in the body
  kFirstGrid = 1 << 10,       // inside a header line, but where a usual buffer ends
};

// One message, in the words in which the entries of the book describe programs.
struct Traits {
  std::uint32_t talk = 0;    // bits by the table of dialogue_words.h
  std::uint32_t untold = 0;  // words that cannot be known: said under TLS, or not captured
  bool helo = false;         // greeted with HELO alone
  bool no_offer = false;     // HELO after a refused EHLO, or no greeting: no extension was offered
  std::uint16_t first = 0;   // bits of First; 0: not known
  std::uint32_t offset = 0;  // offset of the first cut; 0: there is none
  std::uint32_t size = 0;    // bytes of the message
  bool line_end = false;     // the first cut is at the end of a line
  bool every = false;        // every write shows (TLS): no block is hidden before the first cut
  std::uint32_t slack = 0;   // each size may be smaller by up to this (TLS, CBC)
  bool clean = false;        // no segment was repaired and the path kept its size
  std::uint32_t full = 0;    // payload of a full segment if the path kept it; else 0
  BodyWay body = BodyWay::Any;
  DotWay dot = DotWay::Any;
  NagleSeen nagle = NagleSeen::Any;
  std::array<char, kJa4Size> hello{};  // JA4 fingerprint; zeros: there is none
  bool operator==(const Traits&) const = default;
};

Traits observe(const Trace& trace, const Writes& writes, const Features& features);

// Does a writer of `block` make its first cut at the offset that `traits` have? That offset is the
// first multiple of the block that is not a whole number of segments. Exim's buffer ends one byte
// early or late where a line end crosses its end. Requires: block != 0, traits.offset != 0. The
// function is inline because a match calls it for each block of each entry.
inline bool first_of_blocks(std::uint32_t block, const Traits& traits) {
  constexpr std::uint32_t kMostBlocks = 8;  // this many blocks of whole segments may be hidden
                                            // before the cut
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
