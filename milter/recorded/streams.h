// Both streams of a connection, and in which order what was captured of them is given.
//
// Order of cause: a packet's acknowledgement says which bytes of the other side its sender had
// seen. So bytes wait until what they acknowledge has been given. A capture that recorded an ACK
// before the data, or lost data that was acknowledged, then does not make a reply come before its
// command. What is missing is overdue when its receiver has acknowledged it and a capture that is
// only out of order would have shown it by now.
//
// Of the two sides one may be silent in a capture that has only the other. Until it is given up
// (`silent_given_up` below), the first word of the server is waited for; from then on nothing is.
//
// Passive: whoever reads the streams asks what comes next, and takes it. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "milter/recorded/sack.h"
#include "milter/recorded/tcp_packet.h"
#include "milter/recorded/waiting.h"

namespace recorded {

// One side. Offsets are from its stream's first byte on.
struct Half {
  // A sequence number further ahead than this belongs to no window in use: it is a stray.
  static constexpr std::int64_t kFarAhead = 16 * 1024 * 1024;

  explicit Half(std::size_t& all_waiting) : waiting(all_waiting) {}

  bool based = false;
  std::uint32_t base = 0;   // sequence number of offset 0
  std::uint64_t next = 0;   // bytes given
  std::uint64_t acked = 0;  // by the other side, as far as that is beyond `next`
  bool syn = false;
  bool payload = false;  // some was seen
  bool closed = false;   // its receive window, when it last spoke
  bool fin = false;
  std::uint64_t fin_at = 0;
  std::uint16_t mss = 0;    // announced; 0: not
  bool timestamps = false;  // offered
  Waiting waiting;
  SackedRanges sacked;  // of what waits: its receiver has said that it has it

  void begin_at(std::uint32_t number) {
    based = true;
    base = number;
  }
  // The stream begins anew, `given` bytes in front of where it is.
  void begin_anew(std::uint64_t given);
  // Nothing is known of it but what its handshake has said.
  void forget();
  // Nothing of it was given, and nothing is there that could be.
  bool untouched() const { return next == 0 && !payload && waiting.empty(); }
  // It was closed in front of this number.
  void end_at(std::uint32_t number);
  // Where a sequence number lies, near to `next`.
  std::int64_t place(std::uint32_t number) const;
  // The same, where it lies ahead of `next` and in reach; else 0.
  std::uint64_t ahead_at(std::uint32_t number) const;
  // The receiver of the stream has said this.
  void note_sack(const SackOption& sack);
  // The first part of `span` that waits and was received: it came in the packet that was captured
  // first. Nothing: none did.
  std::optional<classifier::Span> first_received_in(classifier::Span span) const;
  // It was closed, and all of it was given.
  bool over() const { return fin && next >= fin_at; }
};

class Streams {
 public:
  // `all_waiting`: as Waiting.
  explicit Streams(std::size_t& all_waiting) : halves_{Half(all_waiting), Half(all_waiting)} {}

  Half& operator[](int side) { return halves_[side]; }
  const Half& operator[](int side) const { return halves_[side]; }

  std::size_t waiting_bytes() const {
    return halves_[0].waiting.bytes() + halves_[1].waiting.bytes();
  }
  bool waits() const { return !halves_[0].waiting.empty() || !halves_[1].waiting.empty(); }
  void forget_waiting();
  // Nothing is known of either but what the handshake has said.
  void forget();

  // How the streams are read.
  struct Reading {
    int client = 0;
    bool silent_given_up = false;  // nobody waits for the word of a server that was not captured
  };
  // The client's bytes wait for the server's first word.
  bool unheard(int side, Reading how) const;
  // Nothing of that side was captured, and it has been given up.
  bool deaf_to(int side, Reading how) const;

  // Which of the other side's bytes the packet's sender had seen.
  std::uint64_t needs(int side, const TcpPacket& packet) const;
  // Of the packet in hand.
  void set_time(std::uint64_t time_ns) { now_ns_ = time_ns; }
  // It has payload that is new.
  void count_packet() { ++order_; }
  // Keeps the packet's payload, which begins at `place`.
  void keep(int side, const TcpPacket& packet, std::uint64_t place, std::uint64_t needs);

  // The side whose first piece is next; where both could be, the one that came first. -1: none.
  int ready(Reading how);
  // Takes the first piece of a side that is ready, and is not missing.
  Waiting::Piece take(int side, Reading how);

  // What the oldest piece waits for. Requires: something waits.
  struct Wanted {
    int side = 0;              // whose piece it is
    std::uint64_t gap = 0;     // up to where its own stream lacks bytes; 0: it does not
    std::uint64_t unsaid = 0;  // up to where the other stream does; 0: it does not
  };
  Wanted wanted() const;
  // Whether that will not come any more.
  bool overdue() const;

 private:
  bool ready(int side, Reading how) const;
  int oldest() const;

  Half halves_[2];
  std::uint64_t order_ = 0;
  std::uint64_t now_ns_ = 0;  // of the last packet
};

}  // namespace recorded
