// PSH as the end of a write. lwIP, a TCP for small machines and user space, sets PSH on the segment
// in which a write ended. Its SYN offers neither SACK nor timestamps and does not set DF.
//
// lwIP keeps written bytes back while anything is not acknowledged. So the ends of writes lie
// inside full segments, and only PSH shows in which.
//
// Pure; safe from any thread.
#pragma once

#include <cstdint>

#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

struct PushedEnds {
  // Full segments that are not the message's last segment; 0: PSH says nothing.
  std::uint32_t fulls = 0;
  // Those of them that have PSH, so that a write may have ended in them.
  std::uint32_t pushed = 0;
  // The usual buffer size whose ends lie in exactly these segments; 0: none.
  std::uint32_t block = 0;
  bool operator==(const PushedEnds&) const = default;
};

// All zero if nothing can be said: the SYN was not seen or is not lwIP's (Linux sets PSH at units of
// its own), or segments were lost, repaired or joined by reads.
PushedEnds pushed_ends(const Trace& trace, const Writes& writes);

}  // namespace classifier
