// Which messages have a row of their own on a day on which there are too many for memory.max_bytes.
// A message that looks bad always has a row. Of the others every Nth has one, and the row's weight
// says that it stands for N. The totals of the hours in the file count all messages.
//
//     N  1 │    1    │  2  │ 4  │8..
//        ──┴─────────┴─────┴────┴───►  bytes of today's files
//        0         1/2   3/4  7/8  max_bytes
//
// Each step has half the room of the one before it and takes half as many rows for a message, so
// that it lasts for as many messages. One thread.
#pragma once

#include <cstdint>

#include "milter/memory/sighting.h"

namespace memory {

// N never becomes larger.
inline constexpr std::uint32_t kMostWeight = 1024;

// N, when today's files have `bytes` of the `max_bytes` that all files may have.
std::uint32_t sample_of(std::uint64_t bytes, std::uint64_t max_bytes);

class Sampler {
 public:
  void set(std::uint32_t one_of) { one_of_ = one_of; }
  std::uint32_t one_of() const { return one_of_; }

  // The weight of the message's row; 0: it has no row, and the next one stands for it.
  std::uint32_t weight(const Sighting& sighting);

 private:
  std::uint32_t one_of_ = 1;
  std::uint32_t waiting_ = 0;  // messages without a row since the last row of a sample
};

}  // namespace memory
