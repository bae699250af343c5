#include "classifier/tls_shape.h"

#include <algorithm>

#include "classifier/writes.h"

namespace classifier {
namespace {

// A sending program's buffer holds at most this many full segments. Postfix has 4.
constexpr std::uint32_t kMostSegments = 16;
// A line has at most 78 characters in a program that follows RFC 5322, 2.1.1. A folded header field
// in one write is longer.
constexpr std::uint32_t kLine = 200;
constexpr std::uint32_t kShortLine = 100;
// This many lines in a row are not the parts of a header.
constexpr std::size_t kSomeLines = 4;
// Few headers are larger, and few buffers are smaller.
constexpr std::uint32_t kMostHeader = 8192;
// A buffer that is filled with whole lines ends at most one line below its size.
constexpr std::uint32_t kLineBuffers[] = {4096, 8192};
// Sometimes the queue before the buffer is empty, and the buffer is sent before it is full
// (OpenSMTPD). One such write is allowed for this many full ones.
constexpr std::size_t kFilledForOneDry = 8;
constexpr std::uint32_t kMostOddLines = 1024;  // a smaller buffer of lines holds only one or two
                                               // lines

bool whole_segments(std::span<const std::uint32_t> writes, std::uint32_t full) {
  if (full == 0) return false;
  return std::all_of(writes.begin(), writes.end(), [&](std::uint32_t size) {
    return size % full == 0 && size / full <= kMostSegments;
  });
}

bool line_buffer(std::span<const std::uint32_t> writes) {
  // A size that no other program has shows when it repeats: Synapse collects lines up to 1500. This
  // is not a structured binding, because clang 14, which builds the fuzz targets, cannot use one in
  // a lambda.
  const auto ends = std::minmax_element(writes.begin(), writes.end());
  const auto least = ends.first;
  const auto most = ends.second;
  if (writes.size() > 1 && *least > kMostOddLines && *most - *least < kLine) return true;
  return std::any_of(std::begin(kLineBuffers), std::end(kLineBuffers), [&](std::uint32_t buffer) {
    const auto filled = static_cast<std::size_t>(std::count_if(
        writes.begin(), writes.end(), [&](std::uint32_t size) { return size + kLine > buffer; }));
    return *most <= buffer && writes.size() - filled <= writes.size() / kFilledForOneDry;
  });
}

// A template's value lies between the beginning of the header and its rest. It is short, and it is
// more than a line end.
bool is_value(std::uint32_t size) {
  constexpr std::uint32_t kCrLf = 2;
  return size > kCrLf && size <= kShortLine;
}

// Nine of ten writes are as short as lines. The rest may be long: a folded field, or a paragraph on
// one line. The share was chosen; no figure of the recordings changes for 0.8 to 1. With a higher
// one, a few long lines make a line writer's header look like one written apart. With a lower one,
// the short pieces of a program that writes in parts look like lines.
bool mostly_lines(std::span<const std::uint32_t> writes) {
  const auto lines =
      std::count_if(writes.begin(), writes.end(), [](std::uint32_t size) { return size <= kLine; });
  return static_cast<std::size_t>(lines) * 10 >= writes.size() * 9;
}

}  // namespace

std::uint32_t buffer_within(std::uint32_t size, std::uint32_t slack) {
  for (std::uint32_t less = 0; less <= slack && less < size; ++less) {
    if (ends_buffer(size - less)) return size - less;
  }
  return 0;
}

TlsShape shape_of(std::span<const std::uint32_t> writes, std::uint32_t full, std::uint32_t slack) {
  if (writes.empty()) return TlsShape::Unknown;
  if (writes.size() == 1) return TlsShape::OneWrite;
  const auto inner = writes.first(writes.size() - 1);  // the last one ends with the message, not
                                                       // with a buffer
  const std::uint32_t first = inner.front();
  const bool equal = std::all_of(inner.begin(), inner.end(), [&](std::uint32_t size) {
    return size <= first + slack && size + slack >= first;
  });
  if (equal && whole_segments(inner, full)) return TlsShape::Segments;
  if (equal && (buffer_within(first, slack) != 0 || (inner.size() > 2 && first > kLine))) {
    return TlsShape::Blocks;
  }
  if (line_buffer(inner)) return TlsShape::LineBuffer;
  const auto is_line = [](std::uint32_t size) { return size <= kLine; };
  const auto lead = static_cast<std::size_t>(
      std::find_if_not(writes.begin(), writes.end(), is_line) - writes.begin());
  if (lead >= kSomeLines || (lead != 0 && mostly_lines(writes))) return TlsShape::Lines;
  if (first <= kShortLine && inner.size() == 1) return TlsShape::Lines;
  if (first > kMostHeader) return TlsShape::Unknown;
  if (first > kLine && mostly_lines(writes.subspan(1))) return TlsShape::HeadersApart;

  // The first write is short, or is the talk's 399. After it come values and the rest. A short
  // write after the rest belongs to the body: it is a boundary between two parts.
  const auto rest = std::find_if_not(writes.begin() + 1, writes.end(), is_line);
  const auto values = rest - writes.begin() - 1;
  const bool parts = std::any_of(rest, writes.end(), is_line);
  const bool lone_value = values == 1 && is_value(writes[1]) && writes.end() - rest >= 2;
  const bool some_values = values >= 2 && is_value(writes[1]) && rest != writes.end();
  if ((lone_value || some_values) && !parts) return TlsShape::Template;
  return first <= kShortLine ? TlsShape::Lines : TlsShape::HeadersApart;
}

}  // namespace classifier
