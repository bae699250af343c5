// One TCP connection of a capture: puts both streams together by sequence number and gives them, in
// the order in which the two ends must have seen them, to a session.
//
//     packets ─► streams.h: bytes in order, gaps ─► followed_session.h ─► messages
//
// It looks for the packet from which a session can be followed, tells the session of each segment,
// and decides what becomes of a gap. What is missing is given up when it is overdue, when too much
// waits, or at the end. Where text is missing, filler stands in its place (the segments around it
// say `hole`); where commands or replies are, the tracker goes on with answers that it assumes
// (SmtpTracker::command_gap()).
//
// The first copy of a byte counts. Not thread-safe.
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
  std::size_t waiting_bytes = 1024 * 1024;  // what waits in one connection, with its overhead
  std::size_t segments = 4096;              // Observer::Limits
};

class TcpFlow {
 public:
  // `all_waiting`: bytes that wait in all flows; kept up to date. All outlive the flow.
  TcpFlow(const TcpEnd& one, const TcpEnd& other, MessageSink& sink, const FlowLimits& limits,
          std::size_t& all_waiting);
  TcpFlow(const TcpFlow&) = delete;
  TcpFlow& operator=(const TcpFlow&) = delete;

  // Requires: the packet is between the two ends, and does not begin another connection.
  void packet(const TcpPacket& packet);
  // A SYN of a new connection between the same ends.
  bool reused_by(const TcpPacket& packet) const;
  // Nothing more comes, or nothing more is kept: what waits is given, a cut message is reported.
  void finish();
  // Gives up what is missing until at most so much waits.
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
  int client_ = -1;  // which of ends_; -1: not known
  bool mail_port_ = false;
  std::optional<TcpEnd> named_;  // the client, by a PROXY header
  classifier::Path path_;
  std::uint64_t syn_time_ns_ = 0;
  SegmentSize segment_size_;
  std::uint64_t seen_ = 0;      // payload of both sides
  std::uint64_t filled_ = 0;    // of gaps
  std::uint32_t searched_ = 0;  // packets with payload, without a start; a session was left: 1
};

}  // namespace recorded
