// Words for places in the client's stream, which tracker and arrivals share. Plain values.
#pragma once

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

}  // namespace classifier
