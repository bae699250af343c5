// Arrivals and windows meet here. Arrivals are kept as they come, from the current command or
// message on; when the tracker closes a window they are laid over it in the order of arrival, the
// first copy of a byte wins, and what each one brought becomes its Segment. Not thread-safe.
#include "classifier/observer.h"

#include <algorithm>
#include <limits>

namespace classifier {
namespace {

// A segment of this size may be full on any path: RFC 9293, 3.7.1 takes 536 bytes where nothing is
// known. The network cuts behind a full segment, so such a cut tells nothing of the sender.
constexpr std::uint32_t kSmallestFullSegment = 536;

std::uint32_t to_u32(std::uint64_t value) {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(value, std::numeric_limits<std::uint32_t>::max()));
}

std::uint32_t gap_us(std::uint64_t before_ns, std::uint64_t ns) {
  constexpr std::uint64_t kNsPerUs = 1000;
  return ns <= before_ns ? 0 : to_u32((ns - before_ns) / kNsPerUs);
}

}  // namespace

Observer::Observer(Sink& sink, Via via, Limits limits)
    : sink_(sink), via_(via), limits_(limits), tracker_(*this) {}

void Observer::segment(const Arrival& arrival) {
  if (arrival.size == 0 || lost()) return;
  const std::uint64_t end = arrival.offset + arrival.size;
  if (end <= (sealed() ? tls_begin_ + tls_->needed_from() : tracker_.needed_from())) return;
  if (kept_.size() >= limits_.segments) {
    const bool none = unkept_.begin == unkept_.end;
    unkept_.begin = none ? arrival.offset : std::min(unkept_.begin, arrival.offset);
    unkept_.end = none ? end : std::max(unkept_.end, end);
    return;
  }
  kept_.push_back({.arrival = arrival});
  if (arrival.offset == client_offset()) kept_.back().front = given_tail_;
}

void Observer::client(std::span<const char> bytes) {
  if (bytes.empty() || lost()) return;
  if (sealed()) return client_sealed(bytes);
  mark_tails(client_offset(), bytes);
  given_tail_ = tail_of(bytes.back());
  const std::uint64_t begin = client_offset();
  tracker_.client(bytes);
  if (!tracker_.lost()) return forget_before(tracker_.needed_from());
  if (!sealed()) return;
  tls_begin_ = begin;  // TLS from the first byte on
  client_sealed(bytes);
}

void Observer::server(std::span<const char> bytes) {
  if (sealed()) {
    tls_->server(bytes);
    if (!sealed()) lose(Reason::Encrypted);
    return;
  }
  tracker_.server(bytes);
  if (!tracker_.lost()) forget_before(tracker_.needed_from());
}

void Observer::client_sealed(std::span<const char> bytes) {
  tracker_.client(bytes);  // it is lost, but counts
  tls_->client(bytes);
  if (!sealed()) return lose(Reason::Encrypted);
  forget_before(tls_begin_ + tls_->needed_from());
}

void Observer::finish() {
  if (sealed()) tls_->finish();
}

void Observer::mark_tails(std::uint64_t begin, std::span<const char> bytes) {
  const std::uint64_t end = begin + bytes.size();
  const auto mark = [&](std::uint64_t offset, Tail& tail) {  // the byte in front of `offset`
    if (offset > begin && offset <= end) tail = tail_of(bytes[offset - begin - 1]);
  };
  for (std::size_t i = marked_; i < kept_.size(); ++i) {
    mark(kept_[i].arrival.offset, kept_[i].front);
    mark(kept_[i].end(), kept_[i].last);
  }
  while (marked_ < kept_.size() && kept_[marked_].end() <= end) ++marked_;
}

void Observer::forget_before(std::uint64_t offset) {
  if (unkept_.end <= offset) unkept_ = {};
  if (kept_.empty() || kept_.front().end() > offset) return;
  const auto old = [&](const Kept& kept) { return kept.end() <= offset; };
  const auto marked_end = kept_.begin() + static_cast<std::ptrdiff_t>(marked_);
  marked_ -= static_cast<std::size_t>(std::count_if(kept_.begin(), marked_end, old));
  std::erase_if(kept_, old);
}

// Whether one arrival brought all of `span`, as almost every command comes.
bool Observer::whole(Span span) const {
  const auto first = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& kept) {
    return kept.arrival.offset < span.end && kept.end() > span.begin;
  });
  return first == kept_.end() || (first->arrival.offset <= span.begin && first->end() >= span.end);
}

bool Observer::may_be_full(const Arrival& arrival) const {
  return arrival.size >= (path_.mss != 0 ? path_.mss : kSmallestFullSegment);
}

void Observer::on_command(Span line) {
  forget_before(tracker_.needed_from());
  if (split_command_ || whole(line)) return;
  const std::vector<Piece> pieces = cover({&line, 1});
  split_command_ = std::any_of(pieces.begin(), pieces.end(), [&](const Piece& piece) {
    return piece.end < line.end && !may_be_full(kept_[piece.kept].arrival);
  });
}

void Observer::on_message(Message&& message) {
  std::vector<Piece> pieces = cover(message.spans);
  set_tails(pieces, message);

  messages_ = message.ordinal;
  Trace trace;
  trace.via = via_;
  trace.message = message.ordinal;
  trace.transfer = message.transfer;
  trace.size = message.size;
  trace.path = path_;
  trace.dialogue = message.dialogue;
  trace.dialogue.split_command = split_command_;
  append_segments(pieces, message, trace);

  std::uint64_t covered = 0;
  for (const Segment& segment : trace.segments) covered += segment.size;
  judge(message, covered, trace);
  append_chunks(message, trace);
  trace.landmarks = std::move(message.landmarks);
  sink_.claimed(std::move(message.claims));
  sink_.message(std::move(trace));
}

void Observer::on_answer(std::uint32_t ordinal) {
  sink_.answered(ordinal);
}

void Observer::on_lost(Reason reason) {
  if (reason != Reason::Encrypted || !limits_.infer_sealed) return lose(reason);
  tls_.emplace(static_cast<TlsSession::Listener&>(*this),
               TlsSession::Limits{.records = limits_.segments});
  tls_begin_ = client_offset();
}

// Landmarks are unknown: nobody read the message.
void Observer::on_sealed(SealedMessage&& sealed) {
  Message message;
  message.ordinal = ++messages_;
  message.spans.push_back({tls_begin_ + sealed.begin, tls_begin_ + sealed.end});
  message.tails.push_back(Tail::Other);
  message.size = sealed.end - sealed.begin;

  Trace trace;
  trace.via = via_;
  trace.message = message.ordinal;
  trace.tls = true;
  trace.window = Window::Inferred;
  trace.hello = {tls_->choice().version, tls_->choice().cipher, tls_->slack()};
  trace.path = path_;
  trace.dialogue = tracker_.dialogue();
  append_segments(cover(message.spans), message, trace);
  std::uint64_t covered = 0;
  for (Segment& segment : trace.segments) covered += segment.size;
  judge(message, covered, trace);
  if (sealed.cut && trace.state == State::Complete) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
  for (const Record& record : sealed.records) trace.size += record.size;
  trace.dialogue.rcpt_ahead = sealed.rcpt_ahead;
  trace.dialogue.data_ahead = sealed.data_ahead;
  trace.dialogue.pipelined = sealed.rcpt_ahead || sealed.data_ahead;
  trace.dialogue.split_command = split_command_ || sealed.split_command;
  trace.dialogue.quit_with_dot = sealed.quit_with_dot;
  trace.records = std::move(sealed.records);
  sink_.message(std::move(trace));
}

void Observer::lose(Reason reason) {
  kept_ = std::vector<Kept>();
  marked_ = 0;
  sink_.lost(reason);
}

// The pieces in stream order. The common case, arrivals in order and once, only appends; an arrival
// out of order costs a search and an insertion.
std::vector<Observer::Piece> Observer::cover(std::span<const Span> spans) const {
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
void Observer::set_tails(std::vector<Piece>& pieces, const Message& message) const {
  std::size_t span = 0;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    Piece& piece = pieces[i];
    while (message.spans[span].end < piece.end) ++span;
    if (piece.end == message.spans[span].end) {
      piece.tail = message.tails[span];
    } else if (piece.end == kept_[piece.kept].end()) {
      piece.tail = kept_[piece.kept].last;
    } else {
      piece.tail = kept_[pieces[i + 1].kept].front;
    }
  }
}

void Observer::append_segments(const std::vector<Piece>& pieces, const Message& message,
                               Trace& trace) const {
  const std::size_t count = std::min(pieces.size(), limits_.segments);
  trace.segments.reserve(count);
  std::size_t span = 0;
  std::uint64_t next = message.spans.empty() ? 0 : message.spans.front().begin;
  for (std::size_t i = 0; i < count; ++i) {
    const Piece& piece = pieces[i];
    const Arrival& arrival = kept_[piece.kept].arrival;
    bool hole = false;
    while (piece.begin >= message.spans[span].end) {
      hole = hole || next < message.spans[span].end;
      next = message.spans[++span].begin;
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

void Observer::append_chunks(const Message& message, Trace& trace) {
  if (message.spans.size() > Trace::kMaxChunks) return;
  std::uint64_t begin = 0;
  for (std::size_t i = 0; i + 1 < message.spans.size(); ++i) {
    begin += message.spans[i].end - message.spans[i].begin;
    trace.chunk_begins.push_back(to_u32(begin));
  }
}

// Whether the trace can be judged, and whether anything followed the message in its last segment.
void Observer::judge(const Message& message, std::uint64_t covered, Trace& trace) {
  if (std::exchange(missed_, false)) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
  if (message.spans.empty()) return;
  // An arrival that was not kept may have been the first copy of bytes that a kept one repeats: the
  // bytes are there then, but their segments are not the sender's.
  const bool unkept =
      unkept_.begin < message.spans.back().end && unkept_.end > message.spans.front().begin;
  const bool cut_short = covered < message.size && trace.segments.size() == limits_.segments;
  if (unkept || cut_short) {
    trace.state = State::Partial;
    trace.reason = Reason::Full;
  } else if (covered < message.size) {
    trace.state = State::Partial;
    trace.reason = Reason::Dropped;
  }
  const bool end_seen = covered == message.size;
  trace.dialogue.quit_with_dot = end_seen && trace.segments.back().after > 0;
}

}  // namespace classifier
