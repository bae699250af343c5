#include "classifier/arrivals.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace classifier {
namespace {

// A segment of this size may be full on any path: RFC 9293, 3.7.1 takes 536 bytes where nothing is
// known. The network cuts behind a full segment, so such a cut tells nothing of the sender.
constexpr std::uint32_t kSmallestFullSegment = 536;

std::uint32_t gap_us(std::uint64_t before_ns, std::uint64_t ns) {
  constexpr std::uint64_t kNsPerUs = 1000;
  return ns <= before_ns ? 0 : to_u32((ns - before_ns) / kNsPerUs);
}

}  // namespace

void ArrivalLog::keep(const Arrival& arrival) {
  const std::uint64_t end = arrival.offset + arrival.size;
  if (kept_.size() >= limit_) {
    const bool none = unkept_.begin == unkept_.end;
    unkept_.begin = none ? arrival.offset : std::min(unkept_.begin, arrival.offset);
    unkept_.end = none ? end : std::max(unkept_.end, end);
    return;
  }
  kept_.push_back({.arrival = arrival});
  if (arrival.offset == offset_) kept_.back().front = given_tail_;
}

void ArrivalLog::given(std::span<const char> bytes) {
  if (bytes.empty()) return;
  const std::uint64_t begin = offset_;
  const std::uint64_t end = begin + bytes.size();
  const auto mark = [&](std::uint64_t offset, Tail& tail) {  // the byte in front of `offset`
    if (offset > begin && offset <= end) tail = tail_of(bytes[offset - begin - 1]);
  };
  for (std::size_t i = marked_; i < kept_.size(); ++i) {
    mark(kept_[i].arrival.offset, kept_[i].front);
    mark(kept_[i].end(), kept_[i].last);
  }
  while (marked_ < kept_.size() && kept_[marked_].end() <= end) ++marked_;
  given_tail_ = tail_of(bytes.back());
  offset_ = end;
}

ArrivalLog ArrivalLog::from(std::uint64_t offset) const {
  ArrivalLog log(limit_);
  log.offset_ = offset;
  log.missed_ = missed_;
  for (const Kept& kept : kept_) {
    if (kept.end() > offset) log.kept_.push_back({.arrival = kept.arrival});
  }
  return log;
}

void ArrivalLog::forget_all() {
  kept_ = std::vector<Kept>();
  marked_ = 0;
  unkept_ = {};
}

void ArrivalLog::forget_before(std::uint64_t offset) {
  if (unkept_.end <= offset) unkept_ = {};
  if (kept_.empty() || kept_.front().end() > offset) return;
  const auto old = [&](const Kept& kept) { return kept.end() <= offset; };
  const auto marked_end = kept_.begin() + static_cast<std::ptrdiff_t>(marked_);
  marked_ -= static_cast<std::size_t>(std::count_if(kept_.begin(), marked_end, old));
  std::erase_if(kept_, old);
}

// Whether one arrival brought all of `span`, as almost every command comes.
bool ArrivalLog::whole(Span span) const {
  const auto first = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.arrival.offset < span.end && kept.end() > span.begin;
  });
  return first == kept_.end() || (first->arrival.offset <= span.begin && first->end() >= span.end);
}

bool ArrivalLog::cut_by_sender(Span line, std::uint32_t mss) const {
  if (whole(line)) return false;
  const std::uint32_t full = mss != 0 ? mss : kSmallestFullSegment;
  const std::vector<Piece> pieces = cover({&line, 1});
  return std::any_of(pieces.begin(), pieces.end(), [&](const Piece& piece) {
    return piece.end < line.end && kept_[piece.kept].arrival.size < full;
  });
}

void ArrivalLog::fill(std::span<const Span> spans, std::span<const Tail> tails,
                      Trace& trace) const {
  std::vector<Piece> pieces = cover(spans);
  set_tails(pieces, spans, tails);
  append(pieces, spans, trace);
  judge(spans, trace);
}

// The pieces in stream order. The common case, arrivals in order and once, only appends; an arrival
// out of order costs a search and an insertion.
std::vector<ArrivalLog::Piece> ArrivalLog::cover(std::span<const Span> spans) const {
  std::vector<Piece> pieces;
  const auto lay = [&](std::uint64_t begin, std::uint64_t end, std::uint32_t kept) {
    auto at = std::upper_bound(pieces.begin(), pieces.end(), begin,
                               [](std::uint64_t offset, const Piece& p) { return offset < p.end; });
    while (begin < end) {
      const std::uint64_t free_end = at == pieces.end() ? end : std::min(end, at->begin);
      if (begin < free_end) {
        at = pieces.insert(at, {.begin = begin, .end = free_end, .kept = kept}) + 1;
        begin = free_end;
      } else {
        at->resent = true;
        begin = at->end;
        ++at;
      }
    }
  };
  for (std::uint32_t i = 0; i < kept_.size(); ++i) {
    const Kept& kept = kept_[i];
    auto span =
        std::upper_bound(spans.begin(), spans.end(), kept.arrival.offset,
                         [](std::uint64_t offset, const Span& s) { return offset < s.end; });
    for (; span != spans.end() && span->begin < kept.end(); ++span) {
      lay(std::max(span->begin, kept.arrival.offset), std::min(span->end, kept.end()), i);
    }
  }
  return pieces;
}

// A piece ends with its span, with its arrival, or where a piece begins that came earlier.
void ArrivalLog::set_tails(std::vector<Piece>& pieces, std::span<const Span> spans,
                           std::span<const Tail> tails) const {
  std::size_t span = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Piece& piece = pieces[i];
    while (spans[span].end < piece.end) ++span;
    if (piece.end == spans[span].end) {
      piece.tail = tails[span];
    } else if (piece.end == kept_[piece.kept].end()) {
      piece.tail = kept_[piece.kept].last;
    } else {
      piece.tail = kept_[pieces[i + 1].kept].front;
    }
  }
}

void ArrivalLog::append(const std::vector<Piece>& pieces, std::span<const Span> spans,
                        Trace& trace) const {
  const std::size_t count = std::min(pieces.size(), limit_);
  trace.segments.reserve(count);
  std::size_t span = 0;
  std::uint64_t next = spans.empty() ? 0 : spans.front().begin;
  for (std::size_t i = 0; i < count; ++i) {
    const Piece& piece = pieces[i];
    const Arrival& arrival = kept_[piece.kept].arrival;
    bool hole = false;
    while (piece.begin >= spans[span].end) {
      hole = hole || next < spans[span].end;
      next = spans[++span].begin;
    }
    hole = hole || next < piece.begin;
    next = piece.end;
    trace.segments.push_back({
        .size = to_u32(piece.end - piece.begin),
        .before = to_u32(piece.begin - arrival.offset),
        .after = to_u32(arrival.offset + arrival.size - piece.end),
        .count = arrival.count,
        .gap_us = i == 0 ? 0 : gap_us(kept_[pieces[i - 1].kept].arrival.time_ns, arrival.time_ns),
        .push = arrival.push,
        .resent = piece.resent,
        .hole = hole,
        .line_end = piece.tail == Tail::Lf,
        .cr_end = piece.tail == Tail::Cr,
    });
  }
  std::uint32_t earliest = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t i = count; i-- > 0;) {
    trace.segments[i].late = pieces[i].kept > earliest;
    earliest = std::min(earliest, pieces[i].kept);
  }
}

// Whether the trace can be judged.
void ArrivalLog::judge(std::span<const Span> spans, Trace& trace) const {
  if (missed_) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
  if (spans.empty()) return;
  const std::uint64_t covered = segments_size(trace);
  std::uint64_t size = 0;
  for (const Span& span : spans) size += span.end - span.begin;
  // An arrival that was not kept may have been the first copy of bytes that a kept one repeats: the
  // bytes are there then, but their segments are not the sender's.
  const bool unkept = unkept_.begin < spans.back().end && unkept_.end > spans.front().begin;
  const bool cut_short = covered < size && trace.segments.size() == limit_;
  if (unkept || cut_short) {
    trace.state = State::Partial;
    trace.reason = Reason::Full;
  } else if (covered < size) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
}

}  // namespace classifier
