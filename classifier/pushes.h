// PSH of a sender whose TCP sets it where a write ended: lwIP, whose SYN offers neither SACK nor
// timestamps and does not forbid fragments. Such a stack holds back what is written behind anything that is not acknowledged, so
// that the ends of writes lie inside full segments, and only PSH shows in which. Pure; safe from any
// thread.
#pragma once

#include <cstdint>

#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

struct PushedEnds {
  // Full segments with more of the message behind them; 0: PSH tells nothing.
  std::uint32_t fulls = 0;
  // Of them, those in which a write may have ended.
  std::uint32_t pushed = 0;
  // The usual buffer whose ends lie in all of these and in no other; 0: none.
  std::uint32_t block = 0;
  bool operator==(const PushedEnds&) const = default;
};

// Linux sets PSH at its own units, too, and is known by its SYN: without one, or with segments that
// were lost, repaired or joined by reads, nothing is told.
PushedEnds pushed_ends(const Trace& trace, const Writes& writes);

}  // namespace classifier
