// What a capture saw of the client's stream. It is kept until it is known which bytes are a
// message. Then the log gives the segments of exactly those bytes.
//
//     keep() ──► ahead: not read yet ──given()──► read, each byte in one arrival ──fill()──► Trace
//
// Which packets to believe. A capture sees packets before TCP does, and TCP refuses some of them: a
// wrong checksum, an old timestamp, a place outside the window. Anyone can send such packets, with
// other boundaries than those of the true segments. Only the bytes that the receiver has read are
// certain. From this follows:
//
// * If only one arrival brought some bytes before they were read, they came in that arrival.
// * An arrival of bytes that were already read is a copy. It shows something about the path
//   (Segment::resent), but no boundary.
// * Arrivals may overlap and both come before their bytes were read. If they are alike, the second
//   one is a copy. If they are not, TCP refused one of them, and it is not known which. Then their
//   bytes count as not seen: a hole. The kernel does not say which of two packets it took. Counters
//   of refused packets do not help, because an attacker who sends both packets can balance them.
//
// An honest sender hardly meets the last case. It sends bytes again only after it has waited for
// their acknowledgement, which takes longer than the receiver's next read. Bytes that wait after a
// gap are sent again with the same boundaries. A program that probes a closed window with one byte
// of new data (not Linux) can lose a segment here.
//
// An arrival becomes one Segment if its bytes of the message are new and lie together. It becomes
// two if a BDAT command lies between them. Then `before` and `after` of each Segment count all
// other bytes of the arrival, so payload() is always the arrival's size.
//
// Missing bytes are marked (Segment::hole, State::Partial), never invented. Work is bounded: in any
// order, an arrival costs a logarithm of the number of arrivals that wait. Not thread-safe.
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

// One arrival as the capture saw it. Offsets are those of the client's stream (0 = the first
// payload byte after the SYN). Arrivals may come out of order, repeat and overlap.
struct Arrival {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;     // payload bytes, at least 1
  std::uint32_t count = 1;    // segments joined (Via::Read)
  std::uint64_t time_ns = 0;  // any monotonic clock
  bool push = false;
  bool opening = false;  // came before all others, even if it is reported later
};

class ArrivalLog {
 public:
  // This many arrivals whose bytes are not read yet are kept even if `limit` is smaller. A receive
  // buffer of Linux's default size (tcp_rmem) holds fewer segments.
  static constexpr std::size_t kLeastAhead = 4096;

  // At most `limit` arrivals of a message are kept. A message with more is State::Partial,
  // Reason::Full. Arrivals of bytes that were not read yet have a limit of their own, since it is
  // not known yet to which message they belong.
  explicit ArrivalLog(std::size_t limit) : limit_(limit) {}

  // Requires: it is called before given() with the bytes that the arrival carries.
  void keep(const Arrival& arrival);
  // Bytes of a kept arrival came again, in an arrival that is not passed to keep().
  void came_again(Span bytes);
  // The next bytes of the stream, which the receiver has read. From them each arrival learns with
  // which byte it ends.
  void given(std::span<const char> bytes);
  // The next `size` bytes of the stream were not seen.
  void skipped(std::uint64_t size);
  // A log of the same stream that begins at `offset`, which is where its next bytes will be. It
  // keeps what has come from there on.
  ArrivalLog from(std::uint64_t offset) const;
  // Bytes before `offset` will not be asked for.
  void forget_before(std::uint64_t offset);
  void forget_all();
  // The capture knows that it missed something. The next message is State::Partial,
  // Reason::Dropped.
  void missed_some() { missed_ = true; }

  std::size_t size() const { return read_.size() + (open_ ? 1 : 0) + ahead(); }
  // Memory in bytes.
  std::size_t memory_used() const;
  // How often an arrival was looked at so far. This number bounds the work.
  std::uint64_t work() const { return work_; }
  // Bytes of the stream that were given so far. The next byte has this offset.
  std::uint64_t offset() const { return offset_; }
  // Did the sender itself cut `line`? True if the line came in two arrivals and the first one was
  // not full. `mss`: payload of a full segment; 0: unknown.
  bool cut_by_sender(Span line, std::uint32_t mss) const;

  // Adds the segments of `spans` to `trace`, and marks it if something of them is missing.
  // Requires: the spans are ascending; `tails` says how each one ends. Bytes after the last span in
  // its last segment are its `after`.
  void fill(std::span<const Span> spans, std::span<const Tail> tails, Trace& trace) const;
  // The message was reported. What was missed before does not concern later messages.
  void message_told() { missed_ = false; }

 private:
  struct Kept {
    std::uint64_t offset = 0;
    std::uint64_t time_ns = 0;
    std::uint32_t size = 0;
    std::uint32_t count = 1;
    std::uint32_t order = 0;  // order of arrival
    std::uint32_t read = 0;   // bytes that had already been read when it came
    bool push = false;
    bool resent = false;
    Tail last = Tail::Other;  // what its last byte is
    // The range of bytes that it brought and that were not read yet.
    std::uint64_t begin() const { return offset + read; }
    std::uint64_t end() const { return offset + size; }
    bool behind(const Kept& other) const {
      return begin() != other.begin() ? begin() > other.begin() : order > other.order;
    }
    bool alike(const Kept& other) const { return offset == other.offset && size == other.size; }
  };
  // Arrivals that overlap. The last of them may still overlap with the next one, or its end was not
  // read yet.
  struct Open {
    Kept first;
    std::uint64_t end = 0;  // end of all of them
    bool unlike = false;    // they are not all alike, so their bytes count as not seen
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
  std::optional<Open> open_;  // after those in read_
  Fifo<Kept> ahead_;          // not read yet, ascending: almost all arrivals
  std::vector<Kept> strays_;  // not read yet, came out of order; a heap with the first one on top
  std::vector<Span> copies_;  // bytes that came again after they were read
  std::uint64_t offset_ = 0;
  std::uint32_t order_ = 1;  // order of the next arrival; 0 belongs to the opening one
  // The ranges that enclose the arrivals that were dropped: by the limit of a message, and by the
  // limit of arrivals that wait.
  Span over_limit_;
  Span over_ahead_;
  bool missed_ = false;
  mutable std::uint64_t work_ = 0;
};

}  // namespace classifier
