// What a full segment of the client's carries, by what both ends announced. Pure; safe from any
// thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tcp {

// Of the timestamps in each segment, with their padding. RFC 7323, appendix A.
inline constexpr std::uint32_t kTimestampOption = 12;

// The smaller of two limits of a segment's size, of which 0 is one that nobody has given. What the
// client may send is bound by its own link, for which the MSS that it announces stands, and by what
// the server has announced.
constexpr std::uint32_t smaller_mss(std::uint32_t one, std::uint32_t other) {
  if (one == 0 || other == 0) return std::max(one, other);
  return std::min(one, other);
}

// What is left of an MSS for payload: the TCP options count as part of it (RFC 9293, 3.7.1). An MSS
// that leaves no room is no true one, and stays as it is.
constexpr std::uint32_t payload_of(std::uint32_t mss, std::uint32_t option_bytes) {
  return mss > option_bytes ? mss - option_bytes : mss;
}

// The same, where timestamps are the only option that segments have.
constexpr std::uint32_t full_payload(std::uint32_t mss, bool timestamps) {
  return timestamps ? payload_of(mss, kTimestampOption) : mss;
}

}  // namespace tcp
