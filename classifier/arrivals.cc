#include "classifier/arrivals.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <utility>

namespace classifier {
namespace {

// A segment of this size may be full on any path: RFC 9293, 3.7.1 takes 536 bytes where nothing is
// known. The network cuts after a full segment, so such a cut says nothing of the sender.
constexpr std::uint32_t kSmallestFullSegment = 536;

std::uint32_t gap_us(std::uint64_t before_ns, std::uint64_t ns) {
  constexpr std::uint64_t kNsPerUs = 1000;
  return ns <= before_ns ? 0 : to_u32((ns - before_ns) / kNsPerUs);
}

void enclose(Span& all, Span one) {
  const bool none = all.begin == all.end;
  all.begin = none ? one.begin : std::min(all.begin, one.begin);
  all.end = none ? one.end : std::max(all.end, one.end);
}

bool overlap(Span a, Span b) {
  return a.begin < b.end && b.begin < a.end;
}

}  // namespace

void ArrivalLog::keep(const Arrival& arrival) {
  add({.offset = arrival.offset,
       .time_ns = arrival.time_ns,
       .size = arrival.size,
       .count = arrival.count,
       .order = arrival.opening ? 0 : order_++,
       .push = arrival.push});
}

void ArrivalLog::came_again(Span bytes) {
  ++order_;
  if (copies_.size() < limit_) copies_.push_back(bytes);
}

void ArrivalLog::add(Kept kept) {
  ++work_;
  if (kept.offset < offset_) {
    kept.read = to_u32(std::min<std::uint64_t>(kept.size, offset_ - kept.offset));
    if (copies_.size() < limit_) copies_.push_back({kept.offset, kept.begin()});
    if (kept.read == kept.size) return;
  }
  if (ahead() >= std::max(limit_, kLeastAhead)) {
    enclose(over_ahead_, {kept.begin(), kept.end()});
  } else if (ahead_.empty() || ahead_.back().begin() <= kept.begin()) {
    ahead_.push_back(kept);
  } else {
    strays_.push_back(kept);
    std::push_heap(strays_.begin(), strays_.end(), std::mem_fn(&Kept::behind));
  }
}

void ArrivalLog::given(std::span<const char> bytes) {
  if (bytes.empty()) return;
  // The limit is applied here and not in keep(). Bytes that came together with a message's last
  // bytes may belong to the next message.
  for (; read_.size() > limit_; read_.pop_back()) {
    enclose(over_limit_, {read_.back().begin(), read_.back().end()});
  }
  offset_ += bytes.size();
  while (const Kept* next = first_ahead()) {
    if (next->begin() >= offset_) break;
    ++work_;
    if (ahead() == 1 && !open_ && next->end() <= offset_) {
      // This is the usual case: there is no other arrival that could overlap with it.
      settle(*next, next->end(), bytes);
    } else {
      compare(*next, bytes);
    }
    drop_first_ahead();
  }
  if (open_ && open_->end <= offset_) settle_open(bytes);
}

void ArrivalLog::skipped(std::uint64_t size) {
  constexpr std::array<char, 4096> kUnseen{};
  for (; size > 0; size -= std::min<std::uint64_t>(size, kUnseen.size())) {
    given(std::span(kUnseen).first(
        static_cast<std::size_t>(std::min<std::uint64_t>(size, kUnseen.size()))));
  }
}

bool ArrivalLog::first_is_stray() const {
  return !strays_.empty() && (ahead_.empty() || ahead_.front().behind(strays_.front()));
}

// Returns the first arrival in the stream that was not read yet; null: there is none.
const ArrivalLog::Kept* ArrivalLog::first_ahead() const {
  if (first_is_stray()) return &strays_.front();
  return ahead_.empty() ? nullptr : &ahead_.front();
}

void ArrivalLog::drop_first_ahead() {
  if (!first_is_stray()) return ahead_.pop_front();
  std::pop_heap(strays_.begin(), strays_.end(), std::mem_fn(&Kept::behind));
  strays_.pop_back();
}

void ArrivalLog::compare(const Kept& kept, std::span<const char> bytes) {
  if (open_ && kept.begin() < open_->end) {
    const bool alike = kept.alike(open_->first);
    open_->first.resent = open_->first.resent || alike;
    open_->unlike = open_->unlike || !alike;
    open_->end = std::max(open_->end, kept.end());
    return;
  }
  // All later arrivals begin after the open ones.
  if (open_) settle_open(bytes);
  open_ = Open{kept, kept.end()};
}

// Requires: open_ has a value. Its last byte is among `bytes`, which end at offset_.
void ArrivalLog::settle_open(std::span<const char> bytes) {
  if (!open_->unlike) settle(open_->first, open_->end, bytes);
  open_.reset();
}

void ArrivalLog::settle(const Kept& kept, std::uint64_t end, std::span<const char> bytes) {
  read_.push_back(kept).last = tail_of(bytes[bytes.size() - 1 - (offset_ - end)]);
}

ArrivalLog ArrivalLog::from(std::uint64_t offset) const {
  ArrivalLog log(limit_);
  log.offset_ = offset;
  log.order_ = order_;
  log.missed_ = missed_;
  const auto take = [&](const Kept& kept) {
    if (kept.end() <= offset) return;
    Kept again = kept;
    again.read = 0;
    log.add(again);
  };
  for (const Kept& kept : read_) take(kept);
  if (open_ && !open_->unlike) take(open_->first);
  for (const Kept& kept : ahead_) take(kept);
  for (const Kept& kept : strays_) take(kept);
  return log;
}

void ArrivalLog::forget_all() {
  read_.clear();
  open_.reset();
  ahead_.clear();
  strays_.clear();
  give_back();
  over_limit_ = over_ahead_ = {};
}

void ArrivalLog::forget_before(std::uint64_t offset) {
  if (over_limit_.end <= offset) over_limit_ = {};
  if (over_ahead_.end <= offset) over_ahead_ = {};
  while (!read_.empty() && read_.front().end() <= offset) read_.pop_front();
  if (read_.empty()) std::erase_if(copies_, [&](Span copy) { return copy.end <= offset; });
  if (size() == 0) give_back();
}

// Nothing is under way. The session may be quiet for a long time, so the memory is released.
void ArrivalLog::give_back() {
  read_.give_back();
  ahead_.give_back();
  strays_ = std::vector<Kept>();
  copies_ = std::vector<Span>();
}

std::size_t ArrivalLog::memory_used() const {
  return read_.memory_used() + ahead_.memory_used() + strays_.capacity() * sizeof(Kept) +
         copies_.capacity() * sizeof(Span);
}

// Calls `visit` for each arrival that brought bytes of `span`, in stream order.
template <typename Visit>
void ArrivalLog::visit(Span span, Visit visit) const {
  for (auto at = first_read(span.begin); at != read_.end() && at->begin() < span.end; ++at) {
    visit(*at);
  }
  if (!open_ || open_->unlike) return;
  if (overlap({open_->first.begin(), open_->end}, span)) visit(open_->first);
}

// Returns the first arrival that ends after `offset`.
std::vector<ArrivalLog::Kept>::const_iterator ArrivalLog::first_read(std::uint64_t offset) const {
  return std::upper_bound(read_.begin(), read_.end(), offset,
                          [](std::uint64_t o, const Kept& kept) { return o < kept.end(); });
}

bool ArrivalLog::cut_by_sender(Span line, std::uint32_t mss) const {
  const std::uint32_t full = mss != 0 ? mss : kSmallestFullSegment;
  bool cut = false;
  visit(line, [&](const Kept& kept) { cut = cut || (kept.end() < line.end && kept.size < full); });
  return cut;
}

void ArrivalLog::fill(std::span<const Span> spans, std::span<const Tail> tails,
                      Trace& trace) const {
  append(spans, tails, trace);
  judge(spans, trace);
}

void ArrivalLog::append(std::span<const Span> spans, std::span<const Tail> tails,
                        Trace& trace) const {
  if (spans.empty()) return;
  const Span all{spans.front().begin, spans.back().end};
  const auto count = static_cast<std::size_t>(first_read(all.end) - first_read(all.begin)) + 1;
  trace.segments.reserve(std::min(count, limit_));
  std::vector<std::uint32_t> orders;
  orders.reserve(trace.segments.capacity());
  std::vector<Span> copies = copies_;
  std::sort(copies.begin(), copies.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  auto copy = copies.begin();
  std::uint64_t copied_to = 0;  // the furthest end of the copies so far
  std::size_t span = 0;
  std::uint64_t next = spans.front().begin;
  std::uint64_t before_ns = 0;
  bool hole = false;
  const auto piece = [&](const Kept& kept, Span part) {
    hole = hole || next < part.begin;
    for (; copy != copies.end() && copy->begin < part.end; ++copy) {
      copied_to = std::max(copied_to, copy->end);
    }
    const bool at_end = part.end == spans[span].end;
    const Tail tail = at_end ? tails[span] : kept.last;
    trace.segments.push_back({
        .size = to_u32(part.end - part.begin),
        .before = to_u32(part.begin - kept.offset),
        .after = to_u32(kept.end() - part.end),
        .count = kept.count,
        .gap_us = trace.segments.empty() ? 0 : gap_us(before_ns, kept.time_ns),
        .push = kept.push,
        .resent = kept.resent || copied_to > part.begin,
        .hole = std::exchange(hole, false),
        .line_end = tail == Tail::Lf,
        .cr_end = tail == Tail::Cr,
    });
    orders.push_back(kept.order);
    before_ns = kept.time_ns;
    next = part.end;
  };
  visit(all, [&](const Kept& kept) {
    ++work_;
    while (trace.segments.size() < limit_) {
      const Span part{std::max(spans[span].begin, kept.begin()),
                      std::min(spans[span].end, kept.end())};
      if (part.begin < part.end) piece(kept, part);
      if (kept.end() < spans[span].end || span + 1 == spans.size()) return;
      hole = hole || next < spans[span].end;
      next = spans[++span].begin;
    }
  });
  std::uint32_t earliest = std::numeric_limits<std::uint32_t>::max();
  for (std::size_t i = orders.size(); i-- > 0;) {
    trace.segments[i].late = orders[i] > earliest;
    earliest = std::min(earliest, orders[i]);
  }
}

// Sets whether the trace is complete.
void ArrivalLog::judge(std::span<const Span> spans, Trace& trace) const {
  if (missed_) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
  if (spans.empty()) return;
  const std::uint64_t covered = segments_size(trace);
  std::uint64_t size = 0;
  for (const Span& span : spans) size += span.end - span.begin;
  // A dropped arrival may have been the first copy of bytes that a kept arrival repeats. Then the
  // bytes are there, but their segments are not those of the sender.
  const Span all{spans.front().begin, spans.back().end};
  const bool unkept = overlap(over_limit_, all) || overlap(over_ahead_, all);
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
