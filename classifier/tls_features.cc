#include "classifier/tls_features.h"

#include <algorithm>
#include <optional>
#include <span>

#include "classifier/buffers.h"
#include "classifier/stream.h"

namespace classifier {
namespace {

// Guesses the place of cut number `index` from the shape of the message.
Place tls_place(TlsShape shape, std::size_t index, std::uint32_t offset) {
  switch (shape) {
    case TlsShape::OneWrite:
    case TlsShape::Segments:
    case TlsShape::Unknown:
      break;
    case TlsShape::Blocks:
      return ends_buffer(offset) ? Place::Grid : Place::BodyMiddle;
    case TlsShape::LineBuffer:
      return Place::BodyLine;
    case TlsShape::Lines:
      return index == 0 ? Place::FirstLine : Place::HeaderLine;
    case TlsShape::HeadersApart:
      return index == 0 ? Place::HeaderEnd : Place::BodyMiddle;
    case TlsShape::Template:
      return index < 2 ? Place::HeaderMiddle : Place::BodyMiddle;
  }
  return Place::BodyMiddle;
}

// Where a cut lies in the text that the milter was shown. It is one place, or a range if the place
// is not known to the byte (Window::Near, CBC).
struct Range {
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool exact() const { return begin == end; }
  bool has(std::uint32_t offset) const { return offset >= begin && offset <= end; }
  bool has_end_of_line(const Landmarks& marks) const {
    const auto in = [this](std::uint32_t offset) { return offset != 0 && has(offset); };
    return in(marks.first_line_end) || std::any_of(marks.folds.begin(), marks.folds.end(), in) ||
           std::any_of(marks.fields.begin(), marks.fields.end(),
                       [&](const HeaderField& field) { return in(field.end); });
  }
};

// The place of a cut by the lines that the milter was shown. Nothing: the cut may be at the end of
// a line or of the header, or next to it, so it shows neither. Bytes that do not fit are usually in
// the body. So a cut exactly at the shown end of a line is taken to be there.
std::optional<Place> shown_place(const Landmarks& marks, std::uint32_t offset, const Range& range,
                                 std::uint32_t run) {
  if (ends_buffer(run)) return Place::Grid;
  if (offset == marks.header_end || offset == marks.body_begin) return Place::HeaderEnd;
  if (offset > marks.header_end && range.begin > marks.body_begin) return Place::BodyMiddle;
  if (!marks.fields.empty() && marks.fields.front().end == offset) return Place::FirstField;
  const auto ends_line = [&](std::uint32_t begin, std::uint32_t end) {
    return Range{begin, end}.has_end_of_line(marks);
  };
  for (std::uint32_t left = 0; left <= 2; ++left) {
    if (marks.first_line_end == offset + left) return Place::FirstLine;
  }
  if (ends_line(offset, offset + (range.exact() ? kHeldBack : 0))) return Place::HeaderLine;
  if (range.exact()) return offset < marks.header_end ? Place::HeaderMiddle : Place::BodyMiddle;
  const bool header_ends = range.end + kHeldBack >= marks.header_end;
  if (header_ends || ends_line(range.begin, range.end + kHeldBack)) return std::nullopt;
  return Place::HeaderMiddle;
}

// The range in which a cut after `records` records lies.
Range range_of(const Trace& trace, std::uint32_t offset, std::size_t records) {
  if (trace.hello.slack != 0) {
    const std::uint64_t less = std::uint64_t{trace.hello.slack} * records;
    return {offset - to_u32(std::min<std::uint64_t>(less, offset)), offset};
  }
  if (trace.window != Window::Near) return {offset, offset};
  const std::uint32_t miss = to_u32(trace.miss);
  return {offset - std::min(miss, offset), offset + std::min(miss, UINT32_MAX - offset)};
}

// If at least this many cuts may all be at line ends, and none is certainly inside a line, the
// program writes lines. With fewer cuts, a message in a few pieces would look like lines by chance.
constexpr std::size_t kManyLines = 10;

// Does the text that the milter was shown agree with the shape of the sizes, as far as the sizes
// are known?
bool bears_out(const Trace& trace, const Writes& writes, TlsShape shape) {
  const Landmarks& marks = trace.landmarks;
  const auto range_at = [&](const Boundary& boundary) {
    return range_of(trace, boundary.offset, boundary.segment + 1);
  };
  const auto ends_header = [&](const Boundary& boundary) {
    const Range range = range_at(boundary);
    return range.has(marks.header_end) || range.has(marks.body_begin);
  };
  if (writes.boundaries.empty()) return true;
  switch (shape) {
    case TlsShape::OneWrite:
    case TlsShape::Segments:
    case TlsShape::Blocks:
    case TlsShape::LineBuffer:
      return true;
    case TlsShape::Lines:
      return writes.boundaries.size() >= kManyLines &&
             std::none_of(writes.boundaries.begin(), writes.boundaries.end(),
                          [&](const Boundary& boundary) {
                            return shown_place(marks, boundary.offset, range_at(boundary),
                                               boundary.offset) == Place::HeaderMiddle;
                          });
    case TlsShape::HeadersApart:
      return ends_header(writes.boundaries.front());
    case TlsShape::Template:
      return !ends_header(writes.boundaries.front());
    case TlsShape::Unknown:
      break;
  }
  return false;
}

// Returns the writes of the chunk that has the most of them. The protocol makes the cuts between
// chunks, and Exim's header is a chunk of one write.
std::span<const std::uint32_t> longest_chunk(const Trace& trace,
                                             std::span<const std::uint32_t> sizes) {
  std::span<const std::uint32_t> longest;
  std::uint64_t end = 0;
  std::size_t first = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    end += sizes[i];
    const auto& begins = trace.chunk_begins;
    if (i + 1 != sizes.size() && !std::binary_search(begins.begin(), begins.end(), end)) continue;
    if (i + 1 - first > longest.size()) longest = sizes.subspan(first, i + 1 - first);
    first = i + 1;
  }
  return longest;
}

}  // namespace

void extract_tls(const Trace& trace, const Writes& writes, Features& features) {
  std::span<const std::uint32_t> sizes(writes.sizes);
  const bool data = trace.transfer == Transfer::Data;
  const bool apart =
      data && sizes.size() > 1 && sizes.back() <= kMostTerminator + trace.hello.slack;
  if (apart) sizes = sizes.first(sizes.size() - 1);
  if (!trace.chunk_begins.empty()) sizes = longest_chunk(trace, sizes);
  features.shape = shape_of(sizes, writes.full, trace.hello.slack);
  features.line_buffer = features.shape == TlsShape::LineBuffer;
  // Sizes that are known only to a block are too coarse for the lines of the text.
  const bool shown = trace.landmarks.header_end != 0;
  const bool by_shape = trace.hello.slack != 0 ? !shown || bears_out(trace, writes, features.shape)
                                               : !shown && trace.window != Window::Near;
  const auto place_at = [&](const Boundary& boundary, std::size_t index, std::uint32_t run) {
    if (by_shape) return std::optional(tls_place(features.shape, index, boundary.offset));
    if (!shown) return std::optional(ends_buffer(run) ? Place::Grid : Place::BodyMiddle);
    const Range range = range_of(trace, boundary.offset, boundary.segment + 1);
    return shown_place(trace.landmarks, boundary.offset, range, run);
  };
  BufferStart start{.lead = trace.records.front().before};
  for (std::size_t i = 0; i < writes.boundaries.size(); ++i) {
    const Boundary& boundary = writes.boundaries[i];
    const std::uint32_t run = start.run(boundary.offset);
    const bool terminator = apart && i + 1 == writes.boundaries.size();
    // In clear, the end of a write of whole segments is no cut. It is none here either, so that a
    // program has the same name in both cases.
    if (!terminator && features.shape == TlsShape::Segments) continue;
    const bool chunk =
        std::binary_search(trace.chunk_begins.begin(), trace.chunk_begins.end(), boundary.offset);
    const std::optional<Place> place = terminator ? Place::Terminator
                                       : chunk    ? Place::Chunk
                                                  : place_at(boundary, i, run);
    if (chunk) start = {boundary.offset, trace.records[boundary.segment + 1].before};
    if (!place) {
      ++features.untold;
      continue;
    }
    features.cuts.push_back({boundary.offset, *place, boundary.confidence, run});
    ++features.places[static_cast<int>(*place)];
  }
  if (trace.hello.slack == 0 || features.shape != TlsShape::Blocks) return find_block(features);
  // Offsets are sums of sizes that are known only to a block. So the first size decides.
  features.block = buffer_within(sizes.front(), trace.hello.slack);
  features.on_grid = features.telling();
}

}  // namespace classifier
