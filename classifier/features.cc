// Boundaries against the message's structure. Pure functions; any thread.
//
// Which boundary means what
// -------------------------
// A boundary alone says only that a write ended at some byte. What it says of the program depends
// on what else ends there. The same size can be the end of a header, of a buffer, or of nothing:
//
//     mss=1440 line1=19 header=610 body=612 fields=19,380,610 seg=399p,29p,184pn,1440,1377pn
//
//     byte   399           428           612           2052          3429
//            399p          29p           184pn         1440, full    1377pn, the end
//     place  HeaderMiddle  HeaderMiddle  HeaderEnd     no boundary
//
// The first two boundaries lie inside header lines: at 399 and 428 no line, field or buffer ends. A
// template does that, which writes `Subject: ` and the value separately. If the header ended at
// 399, the same segments would show a library that writes its header apart. If the first size were
// 1024, it would show a buffer, wherever the header ends. So each boundary gets one Place, and the
// places are tried in the order of the enum.
//
// That order follows from chance. The terminator and the chunks come first, because the protocol
// makes them. A buffer's end is next: chance meets one in some 820 bytes. A field's end with the
// three bytes before it is met once in ten bytes, if lines have 40. "Inside a header line" is the
// last place in the header, because it makes a message look like a bot's: wherever another place is
// possible, that one is used.
//
// What is uncertain
// * A weak boundary (sent again on a moving path, or somewhere in a joined read) is used only at a
//   place that chance hardly meets: see is_striking().
// * A buffer may begin with the message, with a chunk, or with the commands in the first segment. A
//   boundary at a buffer's end from any of these beginnings counts (buffers.h).
// * A receiver's window often ends at a multiple of 1024. Such an end is no block of the program if
//   the first segment would have shown that block. By this rule, two recorded messages on a path of
//   9000 bytes have no writer; without it, they have a wrong one with a confidence of 0.98.
//
// What it costs: one pass over segments and boundaries. A boundary is compared with at most 64
// fields, four times; a joined read with at most 64 offsets. A warm Features allocates nothing. The
// price in accuracy: a line writer whose first line ends at a multiple of 1024 by chance is taken
// for one with a buffer (kOneBlockEnd in axes.cc).
//
// What was refused: sizes instead of offsets. A buffer of 4096 is 908x4+464 at MSS 908 and
// 1448x2+1200 at MSS 1448; only the offset is the same. Gaps were refused as well (writes.cc).
#include "classifier/features.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "classifier/buffers.h"
#include "classifier/stream.h"
#include "classifier/tls_features.h"

namespace classifier {
namespace {

// A writer that fills a buffer with whole lines (JavaMail 8192, OpenSMTPD 4096) stops at most one
// long line below its size.
constexpr std::uint32_t kLineBuffers[] = {4096, 8192};
constexpr std::uint32_t kLongLine = 200;
// A boundary in a striking place needs only this confidence, and it then counts as the higher one.
constexpr float kStrikingEvident = 0.2F;
constexpr float kStrikingSure = 0.4F;
// RFC 6928: ten segments may be sent before the first acknowledgement. One of them ends at the
// first cut.
constexpr std::uint32_t kFirstFlight = 9;
// A pause ends the flight only after this many full segments. With fewer, one PSH would decide.
constexpr std::uint32_t kLeastFlight = 3;

bool ends_field(const Landmarks& landmarks, std::uint32_t offset) {
  for (const HeaderField& field : landmarks.fields) {
    if (field.end == offset) return true;
  }
  return false;
}

// Does the CRLF of this line come in the next segment, alone?
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
  // A trace with very many chunks does not say where they began, and neither does an older one.
  // There any other cut may be between two chunks.
  if (trace.transfer == Transfer::Bdat && trace.dialogue.chunks > 1 && chunks.empty()) {
    return Place::Chunk;
  }
  if (marks.header_end != 0 && (offset == marks.header_end || offset == marks.body_begin)) {
    return Place::HeaderEnd;
  }
  // On the wire the end of the header is not known to the byte (elsewhere `miss` is 0). A cut near
  // it could be at that end, so it counts as one in the body.
  if (trace.miss != 0 && offset + trace.miss >= marks.header_end &&
      offset <= marks.body_begin + trace.miss) {
    return segment.line_end ? Place::BodyLine : Place::BodyMiddle;
  }
  if (offset < marks.header_end) return header_place(trace, boundary);
  return segment.line_end ? Place::BodyLine : Place::BodyMiddle;
}

// At these places a cut by chance would be too great a coincidence. So a weak boundary is enough: a
// segment that was sent again while the path moved, or a read that joined several segments.
bool is_striking(Place place) {
  return place == Place::Grid || place == Place::HeaderEnd || place == Place::Terminator;
}

// A read joined `count` segments and one of them was short. The size of the short one is known, its
// place is not:
//
//     read of 2 segments, 1488 bytes, full 1448:   40 + 1448   or   1448 + 40
//
// It is taken to be the one that ends at the first line or field, at a buffer's end, or at the
// header's end, in this order. If no such place fits, there is no cut. So an unknown place never
// makes a message look like a bot's.
std::optional<Cut> cut_inside(const Trace& trace, const Boundary& boundary, std::uint32_t full) {
  constexpr std::uint32_t kMostJoined = 64;  // no read joins more; among so many, chance finds a
                                             // landmark
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

// Would a write of `block` bytes have shown at the message's beginning? Nothing holds the first
// write back. So if it is shorter than a full segment, the first segment is as short. Later ends at
// multiples of such a size have another cause, for example the edge of a receiver's window, which
// is often a multiple of 1024.
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

// Returns the share of the first flight's full segments that carry PSH. After the first flight the
// sender waits, and then TCP joins the writes of any program. A flight ends with a pause of half a
// round trip, or where the first congestion window ends.
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
  if (!trace.records.empty()) return extract_tls(trace, writes, features);
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
  features.pushed = pushed_ends(trace, writes);
}

Features extract(const Trace& trace, const Writes& writes) {
  Features features;
  extract(trace, writes, features);
  return features;
}

}  // namespace classifier
