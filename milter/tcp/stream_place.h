// Converts a sequence number to its place in the stream. Sequence numbers have 32 bits and wrap
// around. Places do not: a place is an offset from the stream's first payload byte. It is negative
// for a number before that byte. Pure; safe from any thread.
#pragma once

#include <cstdint>

namespace tcp {

// `first`: the sequence number of byte 0. `near`: an offset in the stream that is close to the
// number's place. Several places have the same number. The result is the one within 2 GB of `near`,
// because no window is larger (RFC 7323, 2.3).
constexpr std::int64_t stream_place(std::uint32_t number, std::uint32_t first, std::uint64_t near) {
  const std::uint32_t low = number - first;
  const auto away = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(near));
  return static_cast<std::int64_t>(near) + away;
}

}  // namespace tcp
