// Boundaries against the message's structure. Pure functions; any thread.
#include "classifier/features.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <span>

#include "classifier/stream.h"

namespace classifier {
namespace {

// `.`CRLF, with the CRLF before it, or with the message's last line end missing.
constexpr std::uint64_t kMostTerminator = 5;
// A buffer of another size is believed when it repeats and is no line or header.
constexpr std::uint32_t kLeastOtherBlock = 512;
// Of all cuts, this share must lie on the grid where no landmark denies it: a first cut on it is
// one chance in a thousand, but the path may have made others.
constexpr double kLeastOnGrid = 0.33;
constexpr double kMostOnGrid = 0.6;  // and this for a size that is no usual buffer's
// Writers that fill a buffer with whole lines (JavaMail 8192, OpenSMTPD 4096) stop at most one long
// line below it.
constexpr std::uint32_t kLineBuffers[] = {4096, 8192};
constexpr std::uint32_t kLongLine = 200;
// Least confidence of a boundary in a striking place, and what it is then worth.
constexpr float kStrikingEvident = 0.2F;
constexpr float kStrikingSure = 0.4F;
// A line and its CRLF in two writes; Symfony's mailer keeps the last 3 bytes of each write back.
constexpr std::uint32_t kHeldBack = 3;

// RFC 6928: ten segments may be sent before anything is acknowledged; the first is the cut itself.
constexpr std::uint32_t kFirstFlight = 9;
constexpr std::uint32_t kLeastFlight = 3;

bool ends_field(const Landmarks& landmarks, std::uint32_t offset) {
  for (const HeaderField& field : landmarks.fields) {
    if (field.end == offset) return true;
  }
  return false;
}

// The CRLF of this line comes in a segment of its own.
bool line_end_follows(const Trace& trace, std::size_t segment) {
  if (segment + 1 >= trace.segments.size()) return false;
  const Segment& next = trace.segments[segment + 1];
  return next.size <= 2 && next.line_end;
}

Place header_place(const Trace& trace, const Boundary& boundary) {
  const Landmarks& marks = trace.landmarks;
  const std::uint32_t offset = boundary.offset;
  const Segment& segment = trace.segments[boundary.segment];
  if (!marks.fields.empty() && marks.fields.front().end == offset) return Place::FirstField;
  for (std::uint32_t left = 0; left <= 2; ++left) {
    if (marks.first_line_end == offset + left) return Place::FirstLine;
  }
  if (segment.line_end || segment.cr_end || line_end_follows(trace, boundary.segment)) {
    return Place::HeaderLine;
  }
  for (std::uint32_t left = 0; left <= kHeldBack; ++left) {
    if (ends_field(marks, offset + left)) return Place::HeaderLine;
  }
  return Place::HeaderMiddle;
}

// Where the program's buffer began to fill: with the message or the chunk, or with the command in
// front of it in the same segment (`BDAT 1234 LAST`, or a whole dialogue sent ahead).
//
//     95<929 1024 1024      MAIL, RCPT, DATA and the message in buffers of 1024
struct BufferStart {
  std::uint32_t chunk = 0;  // message bytes in front of the chunk
  std::uint32_t lead = 0;   // bytes of commands in front of it

  // Bytes since then, by whichever makes a buffer's end of `offset`; else the offset.
  std::uint32_t run(std::uint32_t offset) const {
    const std::uint32_t in_chunk = offset - chunk;
    for (const std::uint32_t run : {offset, in_chunk, in_chunk + lead}) {
      if (ends_buffer(run)) return run;
    }
    return offset;
  }
};

Place place_of(const Trace& trace, const Boundary& boundary, const BufferStart& start) {
  const Landmarks& marks = trace.landmarks;
  const std::uint32_t offset = boundary.offset;
  const Segment& segment = trace.segments[boundary.segment];
  const Segment& next = trace.segments[boundary.segment + 1];
  if (marks.terminator != 0 && offset < trace.size && trace.size - offset <= kMostTerminator) {
    return Place::Terminator;
  }
  const bool at_command = segment.after != 0 || next.before != 0;
  const auto& chunks = trace.chunk_begins;
  const bool chunk = std::binary_search(chunks.begin(), chunks.end(), offset);
  if (trace.transfer == Transfer::Bdat && (at_command || chunk)) return Place::Chunk;
  if (ends_buffer(start.run(offset))) return Place::Grid;
  // Where chunks began is not kept of very many, nor in older traces: then any other cut may be
  // between two of them.
  if (trace.transfer == Transfer::Bdat && trace.dialogue.chunks > 1 && chunks.empty()) {
    return Place::Chunk;
  }
  if (marks.header_end != 0 && (offset == marks.header_end || offset == marks.body_begin)) {
    return Place::HeaderEnd;
  }
  // Whether the header ends just there is not known to the byte (on the wire; else `miss` is 0).
  if (trace.miss != 0 && offset + trace.miss >= marks.header_end &&
      offset <= marks.body_begin + trace.miss) {
    return segment.line_end ? Place::BodyLine : Place::BodyMiddle;
  }
  if (offset < marks.header_end) return header_place(trace, boundary);
  return segment.line_end ? Place::BodyLine : Place::BodyMiddle;
}

// Where a cut by chance would be too great a coincidence, weak evidence is enough: a segment that
// was sent again while the path moved, or a read that joined several.
bool is_striking(Place place) {
  return place == Place::Grid || place == Place::HeaderEnd || place == Place::Terminator;
}

// A read that joined segments, one of them short: its size is known, its place is one of `count`.
//
//     read of 2 segments, 1488 bytes, full 1448:   40 + 1448   or   1448 + 40
//
// It is believed to be where it ends at the first line or field, on the grid, or at the header's
// end, if anywhere; in this order, so that a doubt never makes a bot.
std::optional<Cut> cut_inside(const Trace& trace, const Boundary& boundary, std::uint32_t full) {
  constexpr std::uint32_t kMostJoined = 64;  // more is no read, and chance would find a landmark
  const Segment& read = trace.segments[boundary.segment];
  if (full == 0 || read.count < 2 || read.count > kMostJoined) return std::nullopt;
  if (trace.transfer == Transfer::Bdat && trace.dialogue.chunks > 1) return std::nullopt;
  const std::uint64_t payload = std::uint64_t{read.before} + read.size + read.after;
  const std::uint64_t fulls = std::uint64_t{read.count - 1} * full;
  if (payload <= fulls || payload >= fulls + full) return std::nullopt;
  const Landmarks& marks = trace.landmarks;
  const std::int64_t begin = std::int64_t{boundary.offset} - read.size;
  std::optional<Cut> found;
  for (std::uint32_t before = 0; before < read.count; ++before) {
    const std::int64_t offset = begin - read.before + std::int64_t{before} * full +
                                static_cast<std::int64_t>(payload - fulls);
    if (offset <= begin || offset > boundary.offset) continue;
    const auto at = static_cast<std::uint32_t>(offset);
    const bool first = !marks.fields.empty() && marks.fields.front().end == at;
    if (marks.header_end != 0 && (at == marks.header_end || at == marks.body_begin)) {
      if (!found) found = Cut{at, Place::HeaderEnd, kStrikingSure};
    }
    if (first) return Cut{at, Place::FirstField, kStrikingSure};
    if (at == marks.first_line_end) return Cut{at, Place::FirstLine, kStrikingSure};
    if (ends_buffer(at)) found = Cut{at, Place::Grid, kStrikingSure};
  }
  return found;
}

// What the cuts on the grid have in common is a multiple of the buffer's size where ends between
// them are hidden. Taken as it is when the first ends are all there (10240, 20480: a buffer of
// 10240), else without its odd factor, since nearly all buffers are powers of two (a single end at
// 12288: 4096).
std::uint32_t buffer_size(std::uint32_t common, std::uint32_t first, std::uint32_t ends) {
  if (ends > 1 && common == first) return common;
  return common & (~common + 1);
}

// The largest size all cuts on the known grid are multiples of; a size of its own that repeats.
void find_block(Features& features) {
  std::uint32_t kilobytes = 0;
  std::uint32_t on_kilobytes = 0;
  std::uint32_t on_exims = 0;
  std::uint32_t first = 0;
  for (const Cut& cut : features.cuts) {
    if (!tells_writer(cut.place)) continue;
    if (first == 0) first = cut.run;
    if (cut.run % kKilobyte == 0) {
      kilobytes = std::gcd(kilobytes, cut.run);
      ++on_kilobytes;
    } else if (cut.run % kEximBlock == 0 || cut.run % kEximChunkBlock == 0) {
      ++on_exims;
    }
  }
  if (first == 0) return;
  const std::uint32_t exims = first % kEximBlock == 0 ? kEximBlock : kEximChunkBlock;
  const std::uint32_t telling = features.telling();
  const auto enough = [&](std::uint32_t hits) { return hits >= kLeastOnGrid * telling; };
  if (first % kKilobyte == 0 && enough(on_kilobytes)) {
    features.block = buffer_size(kilobytes, first, on_kilobytes);
    features.on_grid = on_kilobytes;
  } else if (first % exims == 0 && enough(on_exims)) {
    features.block = exims;  // some ends may be hidden, but there is no other such buffer
    features.on_grid = on_exims;
  } else if (first >= kLeastOtherBlock && telling >= 2) {
    std::uint32_t hits = 0;
    for (const Cut& cut : features.cuts) {
      if (tells_writer(cut.place) && cut.run % first == 0) ++hits;
    }
    if (hits < 2 || hits < kMostOnGrid * telling) return;
    features.block = first;
    features.on_grid = hits;
  }
}

// Nothing holds a message's first write back: when it is shorter than a full segment, the first
// segment is as short. Ends further on that are multiples of it were made by something else, such
// as the edge of a receiver's window, which is often a multiple of 1024.
bool would_have_shown(std::uint32_t block, const Trace& trace, std::uint32_t full) {
  if (trace.segments.empty() || trace.dialogue.early_data) return false;
  const Segment& first = trace.segments.front();
  const bool plain = first.count == 1 && first.before == 0 && !first.resent && !first.late;
  return plain && block < full && first.size >= full;
}

bool fills_line_buffer(const Features& features, const Trace& trace, const Writes& writes) {
  std::uint32_t begin = 0;
  bool some = false;
  for (const Boundary& boundary : writes.boundaries) {
    if (boundary.confidence < kEvident) continue;
    const Segment& segment = trace.segments[boundary.segment];
    if (trace.size - boundary.offset <= kMostTerminator) continue;
    if (!segment.line_end && !segment.cr_end) return false;
    const std::uint32_t size = boundary.offset - begin;
    begin = boundary.offset;
    const bool fits =
        std::any_of(std::begin(kLineBuffers), std::end(kLineBuffers), [&](std::uint32_t buffer) {
          const std::uint32_t over = size % buffer;
          return over == 0 || over > buffer - kLongLine;
        });
    if (!some && !fits) return false;
    some = true;
  }
  return some && features.telling() > 0;
}

// Of the first flight's full segments, behind the first cut: what the sender had to wait for is
// joined, whoever wrote it. A flight ends with a pause of half a round trip, or where the first
// congestion window does.
double push_share(const Trace& trace, const Writes& writes) {
  std::uint32_t fulls = 0;
  std::uint32_t pushed = 0;
  for (std::size_t i = 0; i + 1 < trace.segments.size(); ++i) {
    const Segment& segment = trace.segments[i];
    if (segment.payload() != writes.full) continue;
    const bool paused = trace.path.rtt_us != 0 && segment.gap_us > trace.path.rtt_us / 2;
    if (fulls == kFirstFlight || (paused && fulls >= kLeastFlight)) break;
    ++fulls;
    if (segment.push) ++pushed;
  }
  return fulls == 0 ? 0 : static_cast<double>(pushed) / fulls;
}

// Where cut number `index` lies that nobody has told of, if the message's shape is what it seems.
Place sealed_place(SealedShape shape, std::size_t index, std::uint32_t offset) {
  switch (shape) {
    case SealedShape::OneWrite:
    case SealedShape::Segments:
    case SealedShape::Unknown:
      break;
    case SealedShape::Blocks:
      return ends_buffer(offset) ? Place::Grid : Place::BodyMiddle;
    case SealedShape::LineBuffer:
      return Place::BodyLine;
    case SealedShape::Lines:
      return index == 0 ? Place::FirstLine : Place::HeaderLine;
    case SealedShape::HeadersApart:
      return index == 0 ? Place::HeaderEnd : Place::BodyMiddle;
    case SealedShape::Template:
      return index < 2 ? Place::HeaderMiddle : Place::BodyMiddle;
  }
  return Place::BodyMiddle;
}

// Where a cut lies in the text that the milter was shown: a place, or a range where that is not
// known to the byte (Window::Near, CBC).
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

// By what the milter has told of the text's lines. Nothing: the cut may be at the end of a line or
// of the header, or beside it, and tells of neither. What misses is most often in the body; so a
// cut that is just where a line ends, as it was shown, is there.
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

// How far a cut behind `records` records may lie from where it seems to.
Range range_of(const Trace& trace, std::uint32_t offset, std::size_t records) {
  if (trace.hello.slack != 0) {
    const std::uint64_t less = std::uint64_t{trace.hello.slack} * records;
    return {offset - to_u32(std::min<std::uint64_t>(less, offset)), offset};
  }
  if (trace.window != Window::Near) return {offset, offset};
  const std::uint32_t miss = to_u32(trace.miss);
  return {offset - std::min(miss, offset), offset + std::min(miss, UINT32_MAX - offset)};
}

// So many cuts, each of which may be at a line's end and none surely in the middle of a line, are a
// line writer's.
constexpr std::size_t kManyLines = 10;

// Whether what the milter was shown bears out the shape that the sizes have, as far as they are
// known.
bool bears_out(const Trace& trace, const Writes& writes, SealedShape shape) {
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
    case SealedShape::OneWrite:
    case SealedShape::Segments:
    case SealedShape::Blocks:
    case SealedShape::LineBuffer:
      return true;
    case SealedShape::Lines:
      return writes.boundaries.size() >= kManyLines &&
             std::none_of(writes.boundaries.begin(), writes.boundaries.end(),
                          [&](const Boundary& boundary) {
                            return shown_place(marks, boundary.offset, range_at(boundary),
                                               boundary.offset) == Place::HeaderMiddle;
                          });
    case SealedShape::HeadersApart:
      return ends_header(writes.boundaries.front());
    case SealedShape::Template:
      return !ends_header(writes.boundaries.front());
    case SealedShape::Unknown:
      break;
  }
  return false;
}

// The writes of the chunk that has the most: between chunks the protocol cuts, and Exim's header is
// a chunk of one write.
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

// Under TLS each write shows. Its place is looked up where the milter told of the text, else
// guessed from all sizes.
void extract_sealed(const Trace& trace, const Writes& writes, Features& features) {
  std::span<const std::uint32_t> sizes(writes.sizes);
  const bool data = trace.transfer == Transfer::Data;
  const bool apart =
      data && sizes.size() > 1 && sizes.back() <= kMostTerminator + trace.hello.slack;
  if (apart) sizes = sizes.first(sizes.size() - 1);
  if (!trace.chunk_begins.empty()) sizes = longest_chunk(trace, sizes);
  features.shape = shape_of(sizes, writes.full, trace.hello.slack);
  features.line_buffer = features.shape == SealedShape::LineBuffer;
  // Sizes that are known to a block each are too coarse for the text's lines.
  const bool shown = trace.landmarks.header_end != 0;
  const bool by_shape = trace.hello.slack != 0 ? !shown || bears_out(trace, writes, features.shape)
                                               : !shown && trace.window != Window::Near;
  const auto place_at = [&](const Boundary& boundary, std::size_t index, std::uint32_t run) {
    if (by_shape) return std::optional(sealed_place(features.shape, index, boundary.offset));
    if (!shown) return std::optional(ends_buffer(run) ? Place::Grid : Place::BodyMiddle);
    const Range range = range_of(trace, boundary.offset, boundary.segment + 1);
    return shown_place(trace.landmarks, boundary.offset, range, run);
  };
  BufferStart start{.lead = trace.records.front().before};
  for (std::size_t i = 0; i < writes.boundaries.size(); ++i) {
    const Boundary& boundary = writes.boundaries[i];
    const std::uint32_t run = start.run(boundary.offset);
    const bool terminator = apart && i + 1 == writes.boundaries.size();
    // A write of whole segments is what no cut is in clear; the same name for the same program.
    if (!terminator && features.shape == SealedShape::Segments) continue;
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
  if (trace.hello.slack == 0 || features.shape != SealedShape::Blocks) return find_block(features);
  // Offsets are sums of sizes that are known to a block each: the first one tells.
  features.block = buffer_within(sizes.front(), trace.hello.slack);
  features.on_grid = features.telling();
}

}  // namespace

void extract(const Trace& trace, const Writes& writes, Features& features) {
  std::vector<Cut> cuts = std::move(features.cuts);
  cuts.clear();
  features = Features{};
  features.cuts = std::move(cuts);
  for (const Segment& segment : trace.segments) {
    features.segments += segment.count;
    if (segment.resent || segment.late || segment.hole) ++features.repaired;
  }
  if (!trace.records.empty()) return extract_sealed(trace, writes, features);
  BufferStart start{.lead = trace.segments.empty() ? 0 : trace.segments.front().before};
  auto chunk = trace.chunk_begins.begin();
  for (const Boundary& boundary : writes.boundaries) {
    for (; chunk != trace.chunk_begins.end() && *chunk < boundary.offset; ++chunk) {
      if (*chunk > start.chunk) start = {.chunk = *chunk};
    }
    Cut cut{boundary.offset, place_of(trace, boundary, start), boundary.confidence,
            start.run(boundary.offset)};
    if (cut.place == Place::Chunk) {
      start = {boundary.offset, trace.segments[boundary.segment + 1].before};
    }
    const bool joined = trace.segments[boundary.segment].count > 1;
    if (joined && !is_striking(cut.place)) {
      if (const auto inside = cut_inside(trace, boundary, writes.full)) {
        cut = *inside;
        cut.run = cut.offset;
      }
    }
    const bool believed = is_striking(cut.place) || cut.confidence == kStrikingSure;
    if (cut.confidence < (believed ? kStrikingEvident : kEvident)) {
      if (joined && features.telling() == 0) features.hidden_first = true;
      continue;
    }
    cut.confidence = std::max(cut.confidence, kStrikingSure);
    features.cuts.push_back(cut);
    ++features.places[static_cast<int>(cut.place)];
  }
  find_block(features);
  if (would_have_shown(features.block, trace, writes.full)) features.block = features.on_grid = 0;
  features.line_buffer = fills_line_buffer(features, trace, writes);
  features.push_share = push_share(trace, writes);
}

Features extract(const Trace& trace, const Writes& writes) {
  Features features;
  extract(trace, writes, features);
  return features;
}

}  // namespace classifier
