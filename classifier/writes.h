// From segments to the sender's writes: which boundaries did the program make, and how sure is that?
// The essay on what hides and what makes a boundary (Nagle, half-window PSH, loss, MTU change) is in
// writes.cc. Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "classifier/trace.h"

namespace classifier {

struct Boundary {
  std::uint32_t offset = 0;   // message bytes in front of it
  std::uint32_t segment = 0;  // index of the segment that ends here
  float confidence = 0;       // 0..1 that the program's write ended here
  bool operator==(const Boundary&) const = default;
};

struct Writes {
  std::uint32_t full = 0;            // payload of a full segment on this path; 0: cannot be told
  std::vector<Boundary> boundaries;  // inside the message, by offset; its end is not listed
  std::vector<std::uint32_t> sizes;  // the writes between boundaries of confidence >= 0.5
};

Writes recover_writes(const Trace& trace);

}  // namespace classifier
