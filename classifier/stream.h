// Places and sizes in the client's stream, which all parts of the classifier use. Plain values.
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

// What the last byte of a span is. A segment that ends there ended with it.
enum class Tail : std::uint8_t { Other, Cr, Lf };

inline Tail tail_of(char last) {
  return last == '\n' ? Tail::Lf : last == '\r' ? Tail::Cr : Tail::Other;
}

// A size or an offset as traces keep it. A larger value becomes the largest one.
inline std::uint32_t to_u32(std::uint64_t value) {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(value, UINT32_MAX));
}

// The difference between two sizes or two offsets.
inline std::uint64_t distance(std::uint64_t a, std::uint64_t b) {
  return a < b ? b - a : a - b;
}

}  // namespace classifier
