// What the wire observer counts; written by its one thread, read by anybody.
#pragma once

#include <atomic>
#include <cstdint>

#include "milter/evidence/counters.h"

namespace wire {

struct Counters {
  std::atomic<std::uint64_t> connections{0};
  // Told by the tracker; under TLS the filter's questions tell of them.
  std::atomic<std::uint64_t> messages{0};
  std::atomic<std::uint64_t> lost{0};       // connections that could not be followed to their end
  std::atomic<std::uint64_t> evicted{0};    // for lack of room
  std::atomic<std::uint64_t> overload{0};   // not followed (any more): evidence.max_bytes
  std::atomic<std::uint64_t> ring_full{0};  // events that found capture.ring_bytes full
  std::atomic<std::uint64_t> late{0};       // questions while a processor had not finished an event
  evidence::Counters evidence;
};

}  // namespace wire
