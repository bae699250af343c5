// One TCP connection of a capture: puts both streams together and gives them to an SMTP session.
//
//     packets ─► streams.h: bytes in order, gaps ─► followed_session.h ─► messages
//
// The problem. The receiver's TCP gets every byte, and asks for missing ones. A capture cannot ask.
// It may begin inside a connection, lose packets that the receiver got, show packets out of order
// or an ACK before its data, cut packets short (snap length), or have one direction only. A label
// rests on the segments. So no segment may be invented, and a missing one must stay visible.
//
// Order of cause. Bytes are given when two conditions hold: all earlier bytes of their stream were
// given or given up, and so were the bytes of the other side that their packet acknowledges. So a
// reply never comes before its command, whatever the order in the capture.
//
// Retransmissions. The first captured copy of a byte is used. A repeated byte counts as part of its
// first segment if the server received that one: nothing is missing before it, or the server has
// reported it by SACK. Otherwise it is unknown which copy was received, and the observer gets both
// segments.
//
// Holes. A hole is overdue when its receiver has acknowledged it (so it was not lost on the way)
// and the capture would have shown it by now (Streams::overdue()). It is also given up if too much
// waits, and at the end. In a text, filler of the same size takes its place, and the segments
// around it say `hole`. In commands or replies the tracker continues with assumed answers
// (SmtpTracker::command_gap()). Under TLS the hole is a number of missing records. A hole that is
// too long ends the session, and a new start is looked for.
//
// Example, with offsets of the client (C) and of the server (S). The capture lost the second
// segment of the text:
//
//     captured                                result
//     C  200..206   DATA                      given
//     S   90..127   354, acknowledges 206     given: the client's first 206 bytes were given
//     C  206..1654  text, acknowledges 127    given, a segment of 1448
//     C 3102..3902  text and its end          waits: 1654..3102 is missing
//     S  127..160   250, acknowledges 3902    waits for the client's bytes up to 3902
//     any packet, 50 ms later                 the hole is overdue: filler for 1448 bytes, then
//                                             the segment of 800 with the end, then the 250
//
// The message is reported with the segments 1448 and 800 and a hole between them. If the client
// sends 1654..3102 again before the hole is overdue, these bytes are used and nothing is missing.
//
// Bounded work. Waiting bytes are limited for a flow (FlowLimits) and for all flows
// (tcp_assembly.h), each piece with its overhead. A sequence number too far ahead is ignored.
// Filler is limited to little more than the payload that was seen, so a few forged packets cannot
// cause much work.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "milter/recorded/followed_session.h"
#include "milter/recorded/segment_size.h"
#include "milter/recorded/streams.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

struct FlowLimits {
  std::size_t waiting_bytes = 1024 * 1024;  // waiting bytes of one connection, with their overhead
  std::size_t segments = 4096;              // see Observer::Limits
};

class TcpFlow {
 public:
  // `all_waiting`: bytes that wait in all flows; the flow keeps it up to date. All references must
  // outlive the flow.
  TcpFlow(const TcpEnd& one, const TcpEnd& other, MessageSink& sink, const FlowLimits& limits,
          std::size_t& all_waiting);
  TcpFlow(const TcpFlow&) = delete;
  TcpFlow& operator=(const TcpFlow&) = delete;

  // Requires: the packet is between the two ends, and does not begin another connection.
  void packet(const TcpPacket& packet);
  // True if the packet is the SYN of a new connection between the same ends.
  bool reused_by(const TcpPacket& packet) const;
  // The connection ends, or is no longer kept: gives the waiting bytes and reports a cut message.
  void finish();
  // Gives up missing bytes until at most `bytes` bytes wait.
  void give_up_until(std::size_t bytes);
  bool over() const { return session_.state() == FollowedSession::State::Over; }

 private:
  void on_syn(int side, const TcpPacket& packet);
  void on_ack(int side, const TcpPacket& packet);
  void on_payload(int side, const TcpPacket& packet);
  void on_end(int side, const TcpPacket& packet);

  void set_client(int side);
  void learn_path();
  bool take_proxy_header(int side, const TcpPacket& packet);
  bool find_start(int side, const TcpPacket& packet);
  bool is_mail_begun_by(int side, const TcpPacket& packet) const;
  void begin_streams(int side, const TcpPacket& packet);
  void announce(const TcpPacket& packet, std::int64_t place);
  void announce_new(classifier::Arrival arrival);

  Streams::Reading reading() const;
  void pump();
  void give(int side, std::string_view bytes);
  void follow_in_clear(std::string_view bytes);
  void settle();
  void give_up_one();
  void give_up_the_end(int side);
  void skip(int side, std::uint64_t end);
  void fill(std::uint64_t size, std::string_view tail);
  std::string_view end_of_gap(std::uint64_t end) const;

  const TcpEnd ends_[2];
  const FlowLimits& limits_;
  Streams streams_;
  FollowedSession session_;
  int client_ = -1;  // index in ends_; -1: not known
  bool mail_port_ = false;
  std::optional<TcpEnd> named_;  // the client that a PROXY header named
  classifier::Path path_;
  std::uint64_t syn_time_ns_ = 0;
  SegmentSize segment_size_;
  std::uint64_t seen_ = 0;    // payload of both sides
  std::uint64_t filled_ = 0;  // total size of the gaps
  // Packets with payload in which no start was found; 1 after a session was left.
  std::uint32_t searched_ = 0;
};

}  // namespace recorded
