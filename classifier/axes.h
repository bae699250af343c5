// The two axes: how the program writes, and what the network made of it. Each is read on its own,
// with a strength and its reasons; classify.cc makes the pattern from both. Pure; any thread.
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
  bool hidden = false;  // what would tell it was not seen
};

struct PathReading {
  PathShape path = PathShape::Unknown;
  double strength = 0;  // 0..1
};

// Small is at most this: the talk's garage servers had 920; the ordinary Internet has 1220 (IPv6
// minimum) and more.
inline constexpr std::uint32_t kSmallMss = 1000;

// Both say why, behind what `why` holds already.
WriterReading read_writer(const Trace& trace, const Writes& writes, const Features& features,
                          Reasons& why);
// `writer` tells whether boundaries are explained: noise is what nothing else explains.
PathReading read_path(const Writes& writes, const Features& features, Writer writer, Reasons& why);

}  // namespace classifier
