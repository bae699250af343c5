#include "classifier/sealed_shape.h"

#include <algorithm>

#include "classifier/writes.h"

namespace classifier {
namespace {

// Sending programs ask for buffers of up to so many segments (Postfix: 4).
constexpr std::uint32_t kMostSegments = 16;
// A line has at most 78 characters where somebody took care (RFC 5322, 2.1.1); a folded header
// field that is written at once is longer.
constexpr std::uint32_t kLine = 200;
constexpr std::uint32_t kShortLine = 100;
// So many lines in a row are no header's pieces.
constexpr std::size_t kSomeLines = 4;
// A header is seldom larger, a buffer seldom smaller.
constexpr std::uint32_t kMostHeader = 8192;
// Buffers that are filled with whole lines end at most one line below their size.
constexpr std::uint32_t kLineBuffers[] = {4096, 8192};

bool ends_buffer_near(std::uint32_t size, std::uint32_t slack) {
  for (std::uint32_t less = 0; less <= slack && less < size; ++less) {
    if (ends_buffer(size - less)) return true;
  }
  return false;
}

bool whole_segments(std::span<const std::uint32_t> writes, std::uint32_t full) {
  if (full == 0) return false;
  return std::all_of(writes.begin(), writes.end(), [&](std::uint32_t size) {
    return size % full == 0 && size / full <= kMostSegments;
  });
}

bool line_buffer(std::span<const std::uint32_t> writes) {
  return std::any_of(std::begin(kLineBuffers), std::end(kLineBuffers), [&](std::uint32_t buffer) {
    return std::all_of(writes.begin(), writes.end(),
                       [&](std::uint32_t size) { return size <= buffer && size + kLine > buffer; });
  });
}

bool mostly_lines(std::span<const std::uint32_t> writes) {
  const auto lines =
      std::count_if(writes.begin(), writes.end(), [](std::uint32_t size) { return size <= kLine; });
  return static_cast<std::size_t>(lines) * 10 >= writes.size() * 9;
}

}  // namespace

SealedShape shape_of(std::span<const std::uint32_t> writes, std::uint32_t full,
                     std::uint32_t slack) {
  if (writes.empty()) return SealedShape::Unknown;
  if (writes.size() == 1) return SealedShape::OneWrite;
  const auto inner = writes.first(writes.size() - 1);  // the last one ends where the message does
  const std::uint32_t first = inner.front();
  const bool equal = std::all_of(inner.begin(), inner.end(), [&](std::uint32_t size) {
    return size <= first + slack && size + slack >= first;
  });
  if (equal && whole_segments(inner, full)) return SealedShape::Segments;
  if (equal && (ends_buffer_near(first, slack) || (inner.size() > 2 && first > kLine))) {
    return SealedShape::Blocks;
  }
  if (line_buffer(inner)) return SealedShape::LineBuffer;
  const auto is_line = [](std::uint32_t size) { return size <= kLine; };
  const auto lead = static_cast<std::size_t>(
      std::find_if_not(writes.begin(), writes.end(), is_line) - writes.begin());
  if (lead >= kSomeLines || (lead != 0 && mostly_lines(writes))) return SealedShape::Lines;
  if (first <= kShortLine && inner.size() == 1) return SealedShape::Lines;
  if (first > kMostHeader) return SealedShape::Unknown;

  // A short first write, or the talk's 399, then values. What is small behind something large
  // belongs to the body: a boundary between two parts of it.
  const auto large = [&](std::uint32_t size) { return size > std::max(kLine, first); };
  const auto body = std::find_if(writes.begin() + 1, writes.end(), large);
  const auto values = body - writes.begin() - 1;
  const bool parts = std::any_of(body, writes.end(), is_line);
  if (values >= 2 && !parts && body != writes.end()) return SealedShape::Template;
  if (first <= kShortLine) return SealedShape::Lines;
  return body == writes.end() && inner.size() > 1 ? SealedShape::Unknown
                                                  : SealedShape::HeadersApart;
}

}  // namespace classifier
