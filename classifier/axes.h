// The two axes: how the program writes, and how the path changed what it wrote. Each axis is read
// separately and gives a strength and its reasons. classify.cc makes the pattern from both. Pure
// functions; any thread.
#pragma once

#include <cstdint>

#include "classifier/features.h"
#include "classifier/pattern.h"
#include "classifier/reasons.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

struct WriterReading {
  Writer writer = Writer::Unknown;
  double strength = 0;  // 0..1
  std::uint32_t block = 0;
  bool hidden = false;  // the evidence that would show the writer is missing
};

struct PathReading {
  PathShape path = PathShape::Unknown;
  double strength = 0;  // 0..1
};

// A path with full segments of at most this size is small. The talk's garage servers had 920.
// Ordinary paths have at least 1220 (the IPv6 minimum).
inline constexpr std::uint32_t kSmallMss = 1000;

// Both functions add their reasons after those that `why` already holds.
WriterReading read_writer(const Trace& trace, const Writes& writes, const Features& features,
                          Reasons& why);
// `writer` shows whether the boundaries are explained: a path is noisy only where no writer
// explains them.
PathReading read_path(const Writes& writes, const Features& features, Writer writer, Reasons& why);

}  // namespace classifier
