// What a capture saw of the client's stream, kept until it is known which bytes are a message: then
// the segments of exactly those bytes.
//
// How arrivals become segments: the first copy of a byte counts, in the order of the calls. An
// arrival is one Segment where its bytes of the message are new and lie together; it is two where a
// BDAT command, or bytes that came earlier, lie between them, and then `before` and `after` of each
// count all that the arrival holds around it, so that payload() is always the arrival's size. An
// arrival that brings nothing new is no segment; it marks those it repeats as resent.
//
// What is missing is marked (Segment::hole, State::Partial), never invented. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "classifier/stream.h"
#include "classifier/trace.h"

namespace classifier {

// One arrival as the capture saw it. Offsets are of the client's stream (0 = first payload byte
// behind the SYN); arrivals may come out of order, repeat and overlap.
struct Arrival {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;     // payload bytes, at least 1
  std::uint32_t count = 1;    // segments joined (Via::Read)
  std::uint64_t time_ns = 0;  // any monotonic clock
  bool push = false;
};

class ArrivalLog {
 public:
  // At most `limit` arrivals are kept; a message that has more is State::Partial, Reason::Full.
  explicit ArrivalLog(std::size_t limit) : limit_(limit) {}

  // Requires: called before given() with the bytes it carries.
  void keep(const Arrival& arrival);
  // The stream's next bytes; with them each arrival learns how it ends.
  void given(std::span<const char> bytes);
  // The stream from `offset` on, at which the next byte given will be: what came of it is kept.
  ArrivalLog from(std::uint64_t offset) const;
  // What lies before `offset` will not be asked for.
  void forget_before(std::uint64_t offset);
  void forget_all();
  // The capture knows that it missed something: the next message says Partial, Dropped.
  void missed_some() { missed_ = true; }

  std::size_t size() const { return kept_.size(); }
  // Bytes of memory.
  std::size_t held() const { return kept_.capacity() * sizeof(Kept); }
  // Stream bytes given so far; the offset of the next one.
  std::uint64_t offset() const { return offset_; }
  // Whether the sender itself cut `line`: it came in two arrivals, the first of which was not
  // full. `mss`: payload of a full one; 0: unknown.
  bool cut_by_sender(Span line, std::uint32_t mss) const;

  // Puts the segments of `spans` (ascending, `tails` says how each ends) into `trace`, and whether
  // anything of them is missing. Bytes behind the last span in its last segment: `after`.
  void fill(std::span<const Span> spans, std::span<const Tail> tails, Trace& trace) const;
  // The message was told: what was missed counts for no later one.
  void message_told() { missed_ = false; }

 private:
  struct Kept {
    Arrival arrival;
    Tail front = Tail::Other;  // the byte in front of it
    Tail last = Tail::Other;   // its last byte
    std::uint64_t end() const { return arrival.offset + arrival.size; }
  };

  // Bytes of a message that one arrival brought first.
  struct Piece {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint32_t kept = 0;  // which arrival; the order of arrival, too
    bool resent = false;
    Tail tail = Tail::Other;
  };

  bool whole(Span span) const;
  std::vector<Piece> cover(std::span<const Span> spans) const;
  void set_tails(std::vector<Piece>& pieces, std::span<const Span> spans,
                 std::span<const Tail> tails) const;
  void append(const std::vector<Piece>& pieces, std::span<const Span> spans, Trace& trace) const;
  void judge(std::span<const Span> spans, Trace& trace) const;

  const std::size_t limit_;
  std::vector<Kept> kept_;         // in arrival order
  std::size_t marked_ = 0;         // kept_[0, marked_) have their tails
  Tail given_tail_ = Tail::Other;  // the last byte that was given
  std::uint64_t offset_ = 0;
  Span unkept_;  // encloses the arrivals that were not kept: the limit
  bool missed_ = false;
};

}  // namespace classifier
