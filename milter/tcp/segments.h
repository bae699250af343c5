// The segments of one packet as the kernel, a card or a capture shows it. Each of them may join
// segments to one packet (GRO, LRO, TSO): all as large as the first, the last one with what is left.
// Pure; safe from any thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "classifier/arrivals.h"

namespace tcp {

struct Packet {
  std::int64_t place = 0;  // of its first byte in the stream; negative: it begins in front of it
  std::uint32_t size = 0;  // payload bytes
  std::uint32_t unit = 0;  // payload of each segment but the last; 0: the packet is one segment
  std::uint64_t time_ns = 0;
  bool push = false;  // PSH: joining ends at a segment that has it, so it is the last one's
};

// Calls `take` with each segment, in the order of the stream. What lies in front of the stream is
// cut off.
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
