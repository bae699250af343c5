// What a capture saw of the client's stream, kept until it is known which bytes are a message: then
// the segments of exactly those bytes.
//
//     keep() ──► ahead: not read yet ──given()──► read, each byte in one arrival ──fill()──► Trace
//
// Whom to believe. A capture sees packets before TCP does, and TCP refuses some of them: a wrong
// checksum, an old timestamp, a place outside of the window. Anybody can send such packets, with
// other boundaries than the true segments have. What the receiver has read is the one thing that
// is certain, and this is what follows from it:
//
//   * Bytes that only one arrival brought before they were read came in that arrival.
//   * An arrival of bytes that had been read already is a copy. It tells of the path
//     (Segment::resent), and of no boundary.
//   * Arrivals that overlap, and came before their bytes were read: if they are alike, the second
//     is a copy. If they are not, one of them was refused, and nothing here tells which. Their
//     bytes are as if nobody had seen them: a hole. (The kernel does not say which of two packets
//     it took, and counts of what it refused can be evened out by whoever sends both.)
//
// An honest sender hardly meets the last case: it sends bytes again when it has waited for their
// acknowledgement, which is longer than the receiver waits until it reads; and what waits behind a
// gap is sent again with the same boundaries. A program that probes a closed window with one byte
// of new data (not Linux) can lose a segment by it.
//
// An arrival is one Segment where its bytes of the message are new and lie together; it is two
// where a BDAT command lies between them, and then `before` and `after` of each count all that the
// arrival holds around it, so that payload() is always the arrival's size.
//
// What is missing is marked (Segment::hole, State::Partial), never invented. Work is bounded: each
// arrival costs a logarithm of those that wait, whatever the order. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "classifier/fifo.h"
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
  bool opening = false;  // came before all others, whenever it is told of
};

class ArrivalLog {
 public:
  // So many that are not read yet are kept at least: more segments than a receive buffer of Linux'
  // default size holds (tcp_rmem).
  static constexpr std::size_t kLeastAhead = 4096;

  // At most `limit` arrivals of a message are kept; one that has more is State::Partial,
  // Reason::Full. Those of bytes that were not given yet have a limit of their own, since nobody
  // knows yet whose they are.
  explicit ArrivalLog(std::size_t limit) : limit_(limit) {}

  // Requires: called before given() with the bytes it carries.
  void keep(const Arrival& arrival);
  // Bytes that were told of came once more, in an arrival that is not told of.
  void came_again(Span bytes);
  // The stream's next bytes, which the receiver has read; with them each arrival learns how it
  // ends.
  void given(std::span<const char> bytes);
  // So many bytes of the stream were not seen.
  void skipped(std::uint64_t size);
  // The stream from `offset` on, at which the next byte given will be: what came of it is kept.
  ArrivalLog from(std::uint64_t offset) const;
  // What lies before `offset` will not be asked for.
  void forget_before(std::uint64_t offset);
  void forget_all();
  // The capture knows that it missed something: the next message says Partial, Dropped.
  void missed_some() { missed_ = true; }

  std::size_t size() const { return read_.size() + (open_ ? 1 : 0) + ahead(); }
  // Bytes of memory.
  std::size_t memory_used() const;
  // Arrivals that were looked at so far, each time one was: what the work is bounded by.
  std::uint64_t work() const { return work_; }
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
    std::uint64_t offset = 0;
    std::uint64_t time_ns = 0;
    std::uint32_t size = 0;
    std::uint32_t count = 1;
    std::uint32_t order = 0;  // of arrival
    std::uint32_t read = 0;   // so many of its bytes had been read when it came
    bool push = false;
    bool resent = false;
    Tail last = Tail::Other;  // its last byte
    // What it brought that was not read yet.
    std::uint64_t begin() const { return offset + read; }
    std::uint64_t end() const { return offset + size; }
    bool behind(const Kept& other) const {
      return begin() != other.begin() ? begin() > other.begin() : order > other.order;
    }
    bool alike(const Kept& other) const { return offset == other.offset && size == other.size; }
  };
  // Arrivals that overlap, the last of which ends where nothing was given yet, or is still to be
  // compared with the next one.
  struct Open {
    Kept first;
    std::uint64_t end = 0;  // of all
    bool unlike = false;    // they are not all alike: nothing is known of their bytes
  };

  std::size_t ahead() const { return ahead_.size() + strays_.size(); }
  void add(Kept kept);
  void give_back();
  bool first_is_stray() const;
  const Kept* first_ahead() const;
  void drop_first_ahead();
  void compare(const Kept& kept, std::span<const char> bytes);
  void settle_open(std::span<const char> bytes);
  void settle(const Kept& kept, std::uint64_t end, std::span<const char> bytes);
  std::vector<Kept>::const_iterator first_read(std::uint64_t offset) const;
  template <typename Visit>
  void visit(Span span, Visit visit) const;
  void append(std::span<const Span> spans, std::span<const Tail> tails, Trace& trace) const;
  void judge(std::span<const Span> spans, Trace& trace) const;

  const std::size_t limit_;
  Fifo<Kept> read_;           // ascending, no two overlap
  std::optional<Open> open_;  // behind them
  Fifo<Kept> ahead_;          // not read yet: ascending, as almost all of them come
  std::vector<Kept> strays_;  // not read yet: those that came out of order; a heap, first on top
  std::vector<Span> copies_;  // bytes that came again after they were read
  std::uint64_t offset_ = 0;
  std::uint32_t order_ = 1;  // of the next one; 0 is the opening one's
  // What encloses the arrivals that were not kept: more than a message's, more than may wait.
  Span over_limit_;
  Span over_ahead_;
  bool missed_ = false;
  mutable std::uint64_t work_ = 0;
};

}  // namespace classifier
