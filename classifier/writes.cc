// From segments to writes. Pure functions; any thread.
//
// What makes a boundary
// ---------------------
// A program hands its message to TCP in writes. TCP cuts them into segments of at most one size
// (the path's MSS less options, "full" below). It keeps no mark of where a write ended, except one:
//
//     write(5000)  write(1200)                        full = 1448
//     ├1448┼1448┼1448┼656┤├1200┤                      the 656 ends a write
//
// A segment that is not full, although more of the message follows, was sent because the program
// had written no more: a write ended there. The rest of this essay is about segments of which that
// is not true, and about boundaries that do not show.
//
// What hides a boundary
//  * A write of whole segments (Postfix: 4 x MSS) leaves no short segment. It looks like a part of
//    one write.
//  * Nagle's algorithm keeps a short segment back while data is unacknowledged. Linux does it in
//    Minshall's form: only while an earlier *short* segment is unacknowledged. So the tail of the
//    first write always leaves at once. Later writes are joined for a round trip and leave in full
//    segments: [first write][1448 ...][tail]. On a path of 40 ms, a program that writes line by
//    line shows its first line and no other. On a LAN it shows a few more line ends. With
//    TCP_NODELAY every write shows until the congestion window is full.
//  * Joining removes boundaries, but never adds one: every short segment still ends where some
//    write ended. So sums are compared, not sizes: 1448+1448+1200 = 4096 at MSS 1448 and 908x4+464
//    = 4096 at MSS 908 are the same program.
//
// What looks like a boundary and is none
//  * A path MTU change. Segments that were cut for the large size are cut again for the small one,
//    and each leaves a remnant: 1448+1448 becomes 948 948 948 52. A remnant is known by its sum:
//    from some full segment before it up to its own end, it makes a whole number of large segments.
//  * A repair. Bytes that are sent again may be cut or joined differently. So a segment that was
//    resent, or that is next to a hole in the capture, proves less.
//  * SACK blocks in the options of a data segment: they take 12 to 36 bytes from a full segment.
//  * A read (Via::Read) that joined several segments: it is known that one of them was short, but
//    not which one.
//
// What PSH shows: Linux sets it at the end of each write and when half the window is filled. Other
// stacks set it only at the end of a write. So a short segment with PSH is the end of a write. A
// segment *without* PSH has more of the same write after it. A size that repeats without PSH is a
// limit of the path, not of the program (948 by path MTU, 1024 by the program's buffer).
//
// What was refused: gaps. On a slow link every gap is long. On a fast one, a program that sleeps
// and a full window look alike.
#include "classifier/writes.h"

#include <algorithm>
#include <array>

#include "classifier/stream.h"

namespace classifier {
namespace {

// RFC 8446, 5.1: the most plaintext that a record holds.
constexpr std::uint64_t kMostPlain = 16384;
// Smaller segments are never taken for a limit of the path. RFC 791 demands 576 of every host, and
// the smallest links in use carry 256.
constexpr std::uint32_t kLeastFull = 256;
// If no size was announced, a single largest segment of at least this size shows the path's limit.
constexpr std::uint32_t kPlausibleFull = 1000;
// The options of a full segment: timestamps (12) and SACK blocks (12, 20, 28, 36). RFC 2018, RFC
// 7323.
constexpr std::array<std::uint32_t, 4> kOptionSizes = {12, 20, 28, 36};
constexpr std::uint32_t kMostOptions = 40;
// The start of a remnant is searched within this many segments: a send offload unit (64 KB) is cut
// into no more.
constexpr int kRemnantReach = 64;

// The confidence that a boundary is the program's, by its evidence. The numbers come from the
// recordings (tests/data): in 860 messages with PSH and without loss, no short segment was made by
// the path.
constexpr float kPushedShort = 0.95F;
// The trace has PSH elsewhere, but not here. Of 290 such segments in the recordings, none was the
// end of a write. So it counts only at a place that chance hardly meets (features.cc).
constexpr float kUnpushedShort = 0.25F;
constexpr float kPushUnknown = 0.85F;
constexpr float kOneReadShort = 0.65F;  // one segment in this read: nearly as good as a segment
constexpr float kJoinedShort = 0.25F;   // one of the segments in this read was short
constexpr float kRepaired = 0.70F;      // factor: the segment was sent again or came late
constexpr float kBesideHole = 0.30F;    // factor: bytes are missing on one side
constexpr float kMovingPath = 0.80F;    // factor: the full size changes
constexpr float kRepairedWhileMoving = 0.30F;  // factor: cut again for another size
constexpr float kRemnant = 0.05F;
constexpr float kRecordEnd = 0.98F;

// Returns the least size that the largest segment of this entry must have.
std::uint32_t unit(const Segment& segment) {
  const std::uint64_t payload = std::uint64_t{segment.before} + segment.size + segment.after;
  const std::uint32_t count = std::max(segment.count, 1U);
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>((payload + count - 1) / count, 1U << 30));
}

bool evenly_joined(const Segment& segment) {
  return segment.count > 1 && segment.payload() % segment.count == 0;
}

// Counts entries, not segments. One read of 916 bytes in two segments does not show that 458 is
// full.
struct Tally {
  std::uint32_t count = 0;
  std::uint32_t unpushed = 0;  // without PSH, although more of the message follows
};

Tally tally(const std::vector<Segment>& segments, std::uint32_t size) {
  Tally tally;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (unit(segments[i]) != size) continue;
    ++tally.count;
    if (!segments[i].push && i + 1 < segments.size()) ++tally.unpushed;
  }
  return tally;
}

// The sizes that were already examined. Each examination takes a pass over the message. A hostile
// trace may have as many sizes as segments; a real path has two.
class Tried {
 public:
  // Is `size` new, and is there room to examine it?
  bool admit(std::uint32_t size) {
    for (std::size_t i = 0; i < count_; ++i) {
      if (sizes_[i] == size) return false;
    }
    if (count_ == sizes_.size()) return false;
    sizes_[count_++] = size;
    return true;
  }

 private:
  std::array<std::uint32_t, 8> sizes_{};
  std::size_t count_ = 0;
};

// A size repeats below the announced one. Is it a limit of the path, not of a buffer?
bool limits_path(std::uint32_t size, const Tally& tally, bool pushes) {
  if (size < kLeastFull) return false;
  if (pushes) return tally.unpushed > 0 && (tally.count > 1 || size >= kLeastFull * 2);
  return tally.count > 1 && size % kKilobyte != 0;
}

std::uint32_t full_size(const Trace& trace, bool pushes) {
  std::uint32_t largest = 0;
  for (const Segment& segment : trace.segments) largest = std::max(largest, unit(segment));
  const std::uint32_t mss = trace.path.mss;
  const Tally seen = tally(trace.segments, largest);
  if (mss == 0) {
    const bool plausible = largest >= kPlausibleFull && largest % kKilobyte != 0;
    const bool known = limits_path(largest, seen, pushes) || plausible;
    return known ? largest : 0;
  }
  // The announced size limits the *client's* path only loosely: the route may have grown since the
  // SYN. So a larger size that was seen wins.
  if (largest >= mss) return largest;
  if (largest + kMostOptions >= mss) return seen.count > 1 ? largest : mss;
  return limits_path(largest, seen, pushes) ? largest : mss;
}

// Returns a smaller size that the path made and that stands in runs: 536 536 536 between 1400 1400.
std::uint32_t other_size(const Trace& trace, std::uint32_t full, bool pushes) {
  const std::vector<Segment>& segments = trace.segments;
  Tried tried;
  for (std::size_t i = 0; i + 2 < segments.size(); ++i) {
    const std::uint32_t size = unit(segments[i]);
    if (size != unit(segments[i + 1]) || size < kLeastFull) continue;
    // options take these bytes, not a smaller path
    if (std::uint64_t{size} + kMostOptions >= full) continue;
    if (!tried.admit(size)) continue;
    const Tally seen = tally(segments, size);
    if (seen.count < 3) continue;
    if (pushes ? seen.unpushed >= 2 : size % kKilobyte != 0) return size;
  }
  return 0;
}

bool is_size(std::uint32_t payload, std::uint32_t full) {
  if (full == 0 || payload > full) return false;
  if (payload == full) return true;
  return std::find(kOptionSizes.begin(), kOptionSizes.end(), full - payload) != kOptionSizes.end();
}

bool ends_header_part(const Landmarks& marks, std::uint64_t offset) {
  return offset != 0 && (offset == marks.header_end || offset == marks.body_begin ||
                         offset == marks.first_line_end ||
                         (!marks.fields.empty() && offset == marks.fields.front().end));
}

// `end`: the offset after the segment. The rest of a write may by chance be as long as a full
// segment less some options: 4096 at MSS 1372 leaves 1352, or the header has 524 bytes at MSS 536.
// But then the segment ends at a place where such a write ends.
bool is_full(const Trace& trace, const Segment& segment, std::uint64_t end,
             const SegmentSizes& sizes) {
  const std::uint32_t mss = trace.path.mss;
  if (sizes.full == 0) return false;
  const std::uint32_t payload = unit(segment);
  const bool uneven = segment.count > 1 && !evenly_joined(segment);
  if (uneven) return false;
  if (payload < sizes.full && payload != sizes.other && payload != sizes.lesser && segment.push &&
      (ends_buffer(end) || ends_header_part(trace.landmarks, end))) {
    return false;
  }
  // The path had the announced size, but it may have grown before the second segment.
  return payload > sizes.full || is_size(payload, sizes.full) || is_size(payload, sizes.other) ||
         (sizes.lesser != 0 && payload == sizes.lesser) || (mss >= kLeastFull && payload == mss);
}

// Returns the size of full segments with more options than others have, or after the path MTU fell
// by a few bytes.
std::uint32_t lesser_size(const Trace& trace, std::uint32_t full, bool pushes) {
  if (!pushes) return 0;
  Tried tried;
  for (const Segment& segment : trace.segments) {
    const std::uint32_t size = unit(segment);
    if (size >= full || size + kMostOptions < full || segment.push) continue;
    if (tried.admit(size) && tally(trace.segments, size).unpushed >= 2) return size;
  }
  return 0;
}

SegmentSizes learn_sizes(const Trace& trace) {
  SegmentSizes sizes;
  sizes.pushes = std::any_of(trace.segments.begin(), trace.segments.end(),
                             [](const Segment& segment) { return segment.push; });
  sizes.full = full_size(trace, sizes.pushes);
  if (sizes.full == 0) return sizes;
  sizes.other = other_size(trace, sizes.full, sizes.pushes);
  sizes.lesser = lesser_size(trace, sizes.full, sizes.pushes);
  if (trace.path.mss > sizes.full + kMostOptions) sizes.announced = trace.path.mss;
  std::uint32_t last = 0;
  std::uint64_t end = 0;
  for (const Segment& segment : trace.segments) {
    end += segment.size;
    if (!is_full(trace, segment, end, sizes)) continue;
    sizes.fulls += segment.count;
    const std::uint32_t now = is_size(unit(segment), sizes.other) ? sizes.other : sizes.full;
    if (last != 0 && now != last) ++sizes.moves;
    last = now;
  }
  return sizes;
}

// Where a segment ends in the message. Before the first hole, the offset is the sum of all segments
// so far. After the last hole, it is counted back from the message's end, which the tracker knows.
// Between two holes it is not known.
//
//     0        first hole           last hole              size
//     ├──known────┤  ...  unknown ...  ├──known backward────┤
class Position {
 public:
  explicit Position(const Trace& trace) : trace_(trace), last_hole_(0) {
    std::uint64_t behind = 0;
    for (std::size_t i = trace.segments.size(); i-- > 0;) {
      behind += trace.segments[i].size;
      if (!trace.segments[i].hole) continue;
      last_hole_ = i;
      resumes_ = behind <= trace.size;
      if (resumes_) resume_ = trace.size - behind;
      return;
    }
  }

  // Advances over segment `index`. Requires: called for each segment in turn.
  void advance(std::size_t index) {
    const Segment& segment = trace_.segments[index];
    if (segment.hole) known_ = false;
    if (segment.hole && index == last_hole_ && resumes_) {
      known_ = true;
      end_ = resume_;
    }
    end_ += segment.size;
  }
  bool known() const { return known_ && end_ <= UINT32_MAX; }
  std::uint64_t end() const { return end_; }

 private:
  const Trace& trace_;
  std::size_t last_hole_;
  bool resumes_ = false;
  std::uint64_t resume_ = 0;
  bool known_ = true;
  std::uint64_t end_ = 0;
};

bool is_multiple(std::uint64_t sum, std::uint32_t large) {
  if (large == 0 || sum == 0) return false;
  if (sum % large == 0) return true;
  // The same, if each large segment carries SACK or timestamp options.
  return large > kMostOptions && sum % (large - kOptionSizes[0]) == 0 && sum >= large - 12U;
}

// Is segment `at` the end of a larger segment that was cut again for a smaller path?
//
//     cut for 1448:  [ 1448 ][ 1448 ]
//     sent as 948:   [ 948 ][ 948 ][ 948 ][52]      948+948+948+52 = 2 x 1448
bool is_remnant(const std::vector<Segment>& segments, std::size_t at, std::uint32_t large,
                std::uint32_t small) {
  if (large == 0 || small >= large) return false;
  std::uint64_t sum = segments[at].payload();
  if (sum >= small) return false;
  for (int back = 1; back <= kRemnantReach && static_cast<std::size_t>(back) <= at; ++back) {
    const Segment& before = segments[at - back];
    if (!is_size(unit(before), small) && !before.resent && !before.late) return false;
    sum += before.payload();
    if (is_multiple(sum, large)) return true;
  }
  return false;
}

// The opposite case: the bytes were cut for the small size and sent after the path had grown.
//
//     cut for 1368:  [ 1368 ][ 1368 ]
//     sent as 1428:  [ 1428  ][1308]
bool is_large_remnant(const std::vector<Segment>& segments, std::size_t at, std::uint32_t large,
                      std::uint32_t small) {
  constexpr std::size_t kLargeReach = 3;  // each further step fits by chance once in `small`
  std::uint64_t sum = segments[at].payload();
  if (sum >= large) return false;
  for (std::size_t back = 1; back <= kLargeReach && back <= at; ++back) {
    if (unit(segments[at - back]) != large) return false;
    sum += segments[at - back].payload();
    if (sum % small == 0) return true;
  }
  return false;
}

// The large size is known in two ways: it was seen, or the SYN announced it and no segment of that
// size arrived.
bool is_remnant(const std::vector<Segment>& segments, std::size_t at, const SegmentSizes& sizes) {
  if (sizes.other != 0 && (is_remnant(segments, at, sizes.full, sizes.other) ||
                           is_large_remnant(segments, at, sizes.full, sizes.other))) {
    return true;
  }
  return is_remnant(segments, at, sizes.announced, sizes.other != 0 ? sizes.other : sizes.full);
}

// Full segments that were sent again in pieces. They may be sent one by one (618r 842r at MSS
// 1460), or as the unit in which they were sent first (1220r 1220r 456r: two of 1448 after the path
// became smaller). The pieces are neighbours and fill a whole number of full segments.
bool is_piece(const std::vector<Segment>& segments, std::size_t at, std::uint32_t full) {
  constexpr std::size_t kMostPieces = 8;
  if (full == 0) return false;
  const auto repaired = [&](std::size_t i) { return segments[i].resent || segments[i].late; };
  const std::size_t earliest = at + 1 < kMostPieces ? 0 : at + 1 - kMostPieces;
  for (std::size_t begin = earliest; begin <= at; ++begin) {
    std::uint64_t sum = 0;
    for (std::size_t i = begin; i < begin + kMostPieces && i < segments.size(); ++i) {
      if (!repaired(i)) break;
      sum += segments[i].payload();
      if (i >= at && i > begin && sum % full == 0) return true;
    }
  }
  return false;
}

float confidence(const Trace& trace, std::size_t at, const SegmentSizes& sizes) {
  const std::vector<Segment>& segments = trace.segments;
  const Segment& segment = segments[at];
  if (is_remnant(segments, at, sizes) || is_piece(segments, at, sizes.full) ||
      is_piece(segments, at, sizes.announced)) {
    return kRemnant;
  }
  float value = kPushUnknown;
  if (trace.via == Via::Read) {
    value = segment.count == 1 ? kOneReadShort : kJoinedShort;
  } else if (sizes.pushes) {
    value = segment.push ? kPushedShort : kUnpushedShort;
  }
  const bool moving = sizes.other != 0 || sizes.announced != 0;
  if (sizes.other != 0) value *= kMovingPath;
  if (segment.resent || segment.late) value *= moving ? kRepairedWhileMoving : kRepaired;
  if (segment.hole || segments[at + 1].hole) value *= kBesideHole;
  return value;
}

// The last read contains the message's tail, which may be short. Returns whether another of its
// segments must be short as well:
//
//     read of 4, 5344 bytes, full 1448:   3 x 1448 + 1000, only the tail is short
//     read of 4, 4112 bytes:              less than 3 x 1448, so at least two are short
bool hides_boundary(const Segment& last, std::uint32_t full) {
  if (last.count < 2 || full == 0) return false;
  const std::uint64_t payload = std::uint64_t{last.before} + last.size + last.after;
  return payload <= std::uint64_t{last.count - 1} * full;
}

// Under TLS the records show the writes, and each boundary is real. But a write that is larger than
// a record continues in the next one.
void recover_from_records(const Trace& trace, Writes& writes) {
  std::uint64_t end = 0;
  std::uint64_t write = 0;
  for (std::size_t i = 0; i < trace.records.size(); ++i) {
    const Record& record = trace.records[i];
    end += record.size;
    write += record.size;
    const bool last = i + 1 == trace.records.size();
    const std::uint64_t plain = std::uint64_t{record.before} + record.size + record.after;
    if (!last && plain >= kMostPlain) continue;
    if (!last && end <= UINT32_MAX) {
      writes.boundaries.push_back({to_u32(end), static_cast<std::uint32_t>(i), kRecordEnd});
    }
    writes.sizes.push_back(to_u32(write));
    write = 0;
  }
}

}  // namespace

void recover_writes(const Trace& trace, Writes& writes) {
  writes.boundaries.clear();
  writes.sizes.clear();
  writes.hidden_end = false;
  writes.segment = learn_sizes(trace);
  writes.full = writes.segment.full;
  if (!trace.records.empty()) return recover_from_records(trace, writes);
  Position position(trace);
  std::uint64_t write = 0;
  for (std::size_t i = 0; i < trace.segments.size(); ++i) {
    position.advance(i);
    write += trace.segments[i].size;
    const bool last = i + 1 == trace.segments.size();
    bool ends = last;
    if (!last && position.known() &&
        !is_full(trace, trace.segments[i], position.end(), writes.segment)) {
      const float sure = confidence(trace, i, writes.segment);
      writes.boundaries.push_back(
          {static_cast<std::uint32_t>(position.end()), static_cast<std::uint32_t>(i), sure});
      ends = sure >= kEvident;
    }
    if (!ends) continue;
    writes.sizes.push_back(to_u32(write));
    write = 0;
  }
  if (!trace.segments.empty()) {
    writes.hidden_end = hides_boundary(trace.segments.back(), writes.full);
  }
}

Writes recover_writes(const Trace& trace) {
  Writes writes;
  recover_writes(trace, writes);
  return writes;
}

}  // namespace classifier
