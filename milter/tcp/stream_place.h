// Where a sequence number lies in its stream. Sequence numbers have 32 bits and wrap around; places
// do not: they are offsets from the stream's first payload byte, and one in front of it is negative.
// Pure; safe from any thread.
#pragma once

#include <cstdint>

namespace tcp {

// `first`: the number of the stream's byte 0. `near`: an offset in that stream, not far from which
// the number was sent. Of all places that the number may mean, the one within 2 GB of `near`
// counts: no window is larger (RFC 7323, 2.3).
constexpr std::int64_t stream_place(std::uint32_t number, std::uint32_t first, std::uint64_t near) {
  const std::uint32_t low = number - first;
  const auto away = static_cast<std::int32_t>(low - static_cast<std::uint32_t>(near));
  return static_cast<std::int64_t>(near) + away;
}

}  // namespace tcp
