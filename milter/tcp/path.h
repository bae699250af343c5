// Computes how many payload bytes a full segment from the client has, from what both ends
// announced. Pure; safe from any thread.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tcp {

// Bytes that the timestamps take in each segment, with padding. RFC 7323, appendix A.
inline constexpr std::uint32_t kTimestampOption = 12;

// The smaller of two MSS values; 0 means that a value is unknown. Two things limit a segment of the
// client: the MSS that the server announced, and the client's own link. The MSS that the client
// announces stands for its link.
constexpr std::uint32_t smaller_mss(std::uint32_t one, std::uint32_t other) {
  if (one == 0 || other == 0) return std::max(one, other);
  return std::min(one, other);
}

// The payload that an MSS leaves: TCP options count as part of the MSS (RFC 9293, 3.7.1). An MSS
// that would leave no room cannot be true and is returned unchanged.
constexpr std::uint32_t payload_of(std::uint32_t mss, std::uint32_t option_bytes) {
  return mss > option_bytes ? mss - option_bytes : mss;
}

// The same if timestamps are the only option in each segment.
constexpr std::uint32_t full_payload(std::uint32_t mss, bool timestamps) {
  return timestamps ? payload_of(mss, kTimestampOption) : mss;
}

}  // namespace tcp
