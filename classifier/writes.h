// From segments to the sender's writes: which boundaries did the program make, and how certain is
// each? The essay in writes.cc says what makes a boundary and what hides one (Nagle, half-window
// PSH, loss, MTU change). Pure; safe from any thread.
#pragma once

#include <cstdint>
#include <vector>

#include "classifier/trace.h"

namespace classifier {

// A boundary with at least this confidence counts as one of the program.
inline constexpr float kEvident = 0.5F;

struct Boundary {
  std::uint32_t offset = 0;   // message bytes before it
  std::uint32_t segment = 0;  // index of the segment that ends here; under TLS of the record
  float confidence = 0;       // 0..1 that the program's write ended here
  bool operator==(const Boundary&) const = default;
};

// How large the segments of this path are, as far as the segments show it.
struct SegmentSizes {
  std::uint32_t full = 0;    // payload of a full segment; 0: not known
  std::uint32_t other = 0;   // a second, smaller full size if the path moved; else 0
  std::uint32_t lesser = 0;  // `full` less the options of some segments, if that size repeats; else
                             // 0
  std::uint32_t announced = 0;  // a larger size for which segments were first cut (path MTU); else
                                // 0
  std::uint32_t fulls = 0;      // full segments of either size
  std::uint32_t moves = 0;      // changes between the two sizes
  bool pushes = false;          // any segment has PSH; reads do not show it
  bool operator==(const SegmentSizes&) const = default;
};

// Does a buffer of a usual size end here? Buffers are multiples of 1024, except Exim's: 8192 less
// three bytes for a line end, or less one byte with BDAT. Offsets count from the start of the
// message or chunk.
inline constexpr std::uint32_t kKilobyte = 1024;
inline constexpr std::uint32_t kEximBlock = 8189;
inline constexpr std::uint32_t kEximChunkBlock = 8191;
constexpr bool ends_buffer(std::uint64_t offset) {
  return offset != 0 &&
         (offset % kKilobyte == 0 || offset % kEximBlock == 0 || offset % kEximChunkBlock == 0);
}

struct Writes {
  SegmentSizes segment;
  std::uint32_t full = 0;            // payload of a full segment on this path; 0: not known
  std::vector<Boundary> boundaries;  // inside the message, by offset; the end of the message is not
                                     // listed
  std::vector<std::uint32_t> sizes;  // the writes between evident boundaries
  bool hidden_end = false;  // the last read joined several short segments, not only the last one
  bool operator==(const Writes&) const = default;
};

// Accepts any trace. Sizes that do not add up, or flags that contradict each other, give few and
// weak boundaries, never an error.
Writes recover_writes(const Trace& trace);
// Writes the same result into `into` and keeps its memory. So a warm value allocates nothing.
void recover_writes(const Trace& trace, Writes& into);

}  // namespace classifier
