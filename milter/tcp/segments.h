// Splits a packet into its segments. The kernel, a network card or a capture may join several
// segments into one packet (GRO, LRO, TSO). All of them are as large as the first, except the last,
// which has the rest. Pure; safe from any thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "classifier/arrivals.h"

namespace tcp {

struct Packet {
  std::int64_t place = 0;  // offset of its first byte in the stream; negative: before byte 0
  std::uint32_t size = 0;  // payload bytes
  std::uint32_t unit = 0;  // payload of each segment but the last; 0: the packet is one segment
  std::uint64_t time_ns = 0;
  bool push = false;  // PSH; a segment with PSH ends the joining, so it is the last one's
};

// Calls `take` for each segment in stream order. Bytes before the beginning of the stream are cut
// off.
template <typename Take>
void for_each_segment(const Packet& packet, Take take) {
  const std::uint32_t unit = packet.unit != 0 ? packet.unit : packet.size;
  std::int64_t end = packet.place;
  for (std::uint32_t left = packet.size; left > 0;) {
    const std::uint32_t size = std::min(left, unit);
    left -= size;
    end += size;
    if (end <= 0) continue;
    const std::int64_t own = std::min<std::int64_t>(end, size);
    take(classifier::Arrival{.offset = static_cast<std::uint64_t>(end - own),
                             .size = static_cast<std::uint32_t>(own),
                             .time_ns = packet.time_ns,
                             .push = left == 0 && packet.push});
  }
}

}  // namespace tcp
