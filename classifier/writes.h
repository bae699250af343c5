// From segments to the sender's writes: which boundaries did the program make, and how sure is
// that? The essay on what hides and what makes a boundary (Nagle, half-window PSH, loss, MTU
// change) is in writes.cc. Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "classifier/trace.h"

namespace classifier {

// A boundary of at least this confidence counts as the program's.
inline constexpr float kEvident = 0.5F;

struct Boundary {
  std::uint32_t offset = 0;   // message bytes in front of it
  std::uint32_t segment = 0;  // index of the segment that ends here; under TLS of the record
  float confidence = 0;       // 0..1 that the program's write ended here
  bool operator==(const Boundary&) const = default;
};

// How large a segment can be on this path, as the segments themselves tell it.
struct SegmentSizes {
  std::uint32_t full = 0;    // payload of a full segment; 0: cannot be told
  std::uint32_t other = 0;   // a second, smaller full size where the path moved; else 0
  std::uint32_t lesser = 0;  // `full` less the options of some segments, where that repeats; else 0
  std::uint32_t announced = 0;  // a larger size that segments were first cut for (path MTU); else 0
  std::uint32_t fulls = 0;      // segments of either size
  std::uint32_t moves = 0;      // changes between the two sizes
  bool pushes = false;          // the trace shows PSH at all (reads and sketches do not)
  bool operator==(const SegmentSizes&) const = default;
};

// Does a buffer of a usual size end here? Buffers are multiples of 1024, but for Exim's: 8192 less
// room for three bytes, with BDAT for one. Offsets are from the start of the message or chunk.
inline constexpr std::uint32_t kKilobyte = 1024;
inline constexpr std::uint32_t kEximBlock = 8189;
inline constexpr std::uint32_t kEximChunkBlock = 8191;
constexpr bool ends_buffer(std::uint64_t offset) {
  return offset != 0 &&
         (offset % kKilobyte == 0 || offset % kEximBlock == 0 || offset % kEximChunkBlock == 0);
}

struct Writes {
  SegmentSizes segment;
  std::uint32_t full = 0;            // payload of a full segment on this path; 0: cannot be told
  std::vector<Boundary> boundaries;  // inside the message, by offset; its end is not listed
  std::vector<std::uint32_t> sizes;  // the writes between evident boundaries
  bool hidden_end = false;  // the last read joined segments, and not only the last one was short
  bool operator==(const Writes&) const = default;
};

// Requires nothing of the trace: sizes that do not add up or flags that contradict each other give
// few and weak boundaries, never a fault.
Writes recover_writes(const Trace& trace);
// The same into a value that was used before: its memory is kept, so that a warm one allocates
// nothing.
void recover_writes(const Trace& trace, Writes& into);

}  // namespace classifier
