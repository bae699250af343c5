// Words for places and sizes in the client's stream, which the classifier's parts share. Plain
// values.
#pragma once

#include <algorithm>
#include <cstdint>

namespace classifier {

// A half-open range of the client's stream; offset 0 is its first byte.
struct Span {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool operator==(const Span&) const = default;
};

// How the last byte of a span looks: what a segment that ends there ended with.
enum class Tail : std::uint8_t { Other, Cr, Lf };

inline Tail tail_of(char last) {
  return last == '\n' ? Tail::Lf : last == '\r' ? Tail::Cr : Tail::Other;
}

// A size or an offset as traces keep it: what does not fit stands at the largest value.
inline std::uint32_t to_u32(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX));
}

// How far two sizes, or two offsets, are apart.
inline std::uint64_t distance(std::uint64_t a, std::uint64_t b) {
  return a < b ? b - a : a - b;
}

}  // namespace classifier
