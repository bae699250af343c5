// Reads numbers from captured bytes: in network order (get…) and in little-endian order (little…).
// Requires: the bytes exist.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace net {

using Bytes = std::span<const std::uint8_t>;

inline std::uint16_t get16(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}
inline std::uint32_t get24(Bytes bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} << 16 | get16(bytes, at + 1);
}
inline std::uint32_t get32(Bytes bytes, std::size_t at) {
  return std::uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}
inline std::uint32_t little16(Bytes bytes, std::size_t at) {
  return std::uint32_t{bytes[at]} | std::uint32_t{bytes[at + 1]} << 8;
}
inline std::uint32_t little32(Bytes bytes, std::size_t at) {
  return little16(bytes, at) | little16(bytes, at + 2) << 16;
}

}  // namespace net
