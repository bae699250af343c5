// Both streams of a connection, and the order in which their captured bytes are given.
//
// Order of cause: a packet's acknowledgement shows which bytes of the other side its sender had
// seen. So bytes wait until the bytes that they acknowledge have been given. A capture may record
// an ACK before the data, or lose data that was acknowledged. Even then a reply is not given before
// its command.
//
// Missing bytes are overdue when their receiver has acknowledged them and the capture would have
// shown them by now if it were only out of order.
//
// A capture may contain only one side. Then the server's first words are waited for until the
// silent side is given up (`silent_given_up` below). After that, nothing is waited for.
//
// Passive: the reader asks which side is next, and takes its bytes. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "milter/recorded/sack.h"
#include "milter/recorded/tcp_packet.h"
#include "milter/recorded/waiting.h"

namespace recorded {

// One side of a connection. Offsets count from the first byte of its stream.
struct Half {
  // A sequence number further ahead than this is a stray: no window in use is that large. Linux
  // limits the receive window to 6 MB by default (tcp_rmem).
  static constexpr std::int64_t kFarAhead = 16 * 1024 * 1024;

  explicit Half(std::size_t& all_waiting) : waiting(all_waiting) {}

  bool based = false;
  std::uint32_t base = 0;   // sequence number of offset 0
  std::uint64_t next = 0;   // number of bytes given
  std::uint64_t acked = 0;  // acknowledged by the other side, if beyond `next`
  bool syn = false;
  bool payload = false;  // payload was seen
  bool closed = false;   // its receive window was 0 in its newest packet
  bool fin = false;
  std::uint64_t fin_at = 0;
  std::uint16_t mss = 0;    // announced; 0: not
  bool timestamps = false;  // offered
  Waiting waiting;
  SackedRanges sacked;  // parts of `waiting` that the receiver has reported to have

  void begin_at(std::uint32_t number) {
    based = true;
    base = number;
  }
  // The stream begins again, `given` bytes before its current place.
  void begin_anew(std::uint64_t given);
  // Forgets everything except what the handshake has shown.
  void forget();
  // True if no bytes were given and none are waiting.
  bool untouched() const { return next == 0 && !payload && waiting.empty(); }
  // The stream ends before this sequence number.
  void end_at(std::uint32_t number);
  // The place of a sequence number in the stream, near `next`.
  std::int64_t place(std::uint32_t number) const;
  // The same if the place is after `next` and within kFarAhead; otherwise 0.
  std::uint64_t ahead_at(std::uint32_t number) const;
  // Notes the SACK option of the stream's receiver.
  void note_sack(const SackOption& sack);
  // Returns the first part of `span` that is waiting and that the receiver has reported. It came in
  // the packet that was captured first. nullopt: no part.
  std::optional<classifier::Span> first_received_in(classifier::Span span) const;
  // True if the stream was closed and all of it was given.
  bool over() const { return fin && next >= fin_at; }
};

class Streams {
 public:
  // `all_waiting`: see Waiting.
  explicit Streams(std::size_t& all_waiting) : halves_{Half(all_waiting), Half(all_waiting)} {}

  Half& operator[](int side) { return halves_[side]; }
  const Half& operator[](int side) const { return halves_[side]; }

  std::size_t waiting_bytes() const {
    return halves_[0].waiting.bytes() + halves_[1].waiting.bytes();
  }
  bool waits() const { return !halves_[0].waiting.empty() || !halves_[1].waiting.empty(); }
  void forget_waiting();
  // Forgets everything of both sides except what the handshake has shown.
  void forget();

  // How the streams are read: which side is the client, and whether the server's side was captured.
  struct Reading {
    int client = 0;
    bool silent_given_up = false;  // a server that was not captured is no longer waited for
  };
  // True if the client's bytes must wait for the server's first words.
  bool unheard(int side, Reading how) const;
  // True if nothing of that side was captured and it was given up.
  bool deaf_to(int side, Reading how) const;

  // Returns the offset up to which the packet's sender had seen the other side's bytes.
  std::uint64_t needs(int side, const TcpPacket& packet) const;
  // Sets the time of the current packet.
  void set_time(std::uint64_t time_ns) { now_ns_ = time_ns; }
  // Counts a packet with new payload.
  void count_packet() { ++order_; }
  // Keeps the packet's payload, which begins at `place`.
  void keep(int side, const TcpPacket& packet, std::uint64_t place, std::uint64_t needs);

  // Returns the side whose first piece can be given; if both can, the one that was captured first.
  // -1: neither.
  int ready(Reading how);
  // Takes the first piece of a side. Requires: the side is ready, and the piece is not missing().
  Waiting::Piece take(int side, Reading how);

  // What the oldest waiting piece needs. Requires: something waits.
  struct Wanted {
    int side = 0;              // side of the piece
    std::uint64_t gap = 0;     // bytes of its own stream are missing up to here; 0: none
    std::uint64_t unsaid = 0;  // bytes of the other stream are missing up to here; 0: none
  };
  Wanted wanted() const;
  // True if the missing bytes are not expected any more.
  bool overdue() const;

 private:
  bool ready(int side, Reading how) const;
  int oldest() const;

  Half halves_[2];
  std::uint64_t order_ = 0;
  std::uint64_t now_ns_ = 0;  // of the last packet
};

}  // namespace recorded
