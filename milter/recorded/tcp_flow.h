// One TCP connection of a capture: puts both streams together by sequence number and gives them, in
// the order in which the two ends must have seen them, to an Observer.
//
//     packets ─► two halves: bytes in order, gaps ─► order of cause ─► Observer ─► traces
//
// Order of cause: a packet's acknowledgement says which bytes of the other side its sender had
// seen. So bytes wait until what they acknowledge has been given. A capture that recorded an ACK
// before the data, or lost data that was acknowledged, then does not make a reply come before its
// command. What is missing is given up when its receiver has acknowledged it and it is late, when
// too much waits, or at the end. Where text is missing, filler stands in its place (the segments
// around it say `hole`); where commands or replies are, the tracker goes on with answers that it
// assumes (SmtpTracker::command_gap()). A message that cannot be told of has a trace that is
// unobserved.
//
// The first copy of a byte counts. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "classifier/observer.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

// Whose message it was, and when it ended.
struct Connection {
  TcpEnd client;
  TcpEnd server;
  std::string helo;  // the name that the client said in clear; at most 256 bytes, any bytes
  std::uint64_t time_ns = 0;  // since 1970, of the packet with which the message was complete
};

class TraceSink {
 public:
  virtual ~TraceSink() = default;
  // What the message of the next call claims about its sender; none where it was not seen.
  virtual void claimed(classifier::Claims&& claims) { (void)claims; }
  virtual void message(const Connection& connection, classifier::Trace&& trace) = 0;
};

struct FlowLimits {
  std::size_t waiting_bytes = 1024 * 1024;  // what waits in one connection, with its overhead
  std::size_t segments = 4096;              // Observer::Limits
};

class TcpFlow final : private classifier::Observer::Sink, private classifier::SealedLog::Sink {
 public:
  // `all_waiting`: bytes that wait in all flows; kept up to date. Both outlive the flow.
  TcpFlow(const TcpEnd& one, const TcpEnd& other, TraceSink& sink, const FlowLimits& limits,
          std::size_t& all_waiting);
  ~TcpFlow() override;
  TcpFlow(const TcpFlow&) = delete;
  TcpFlow& operator=(const TcpFlow&) = delete;

  // Requires: the packet is between the two ends, and does not begin another connection.
  void packet(const TcpPacket& packet);
  // A SYN of a new connection between the same ends.
  bool reused_by(const TcpPacket& packet) const;
  // Nothing more comes, or nothing more is kept: what waits is given, a cut message is told of.
  void finish();
  // Gives up what is missing until at most so much waits.
  void give_up_until(std::size_t bytes);
  bool over() const { return state_ == State::Over; }

 private:
  //     Searching ──greeting, EHLO, HELO, MAIL, any client on a mail port──► Following
  //
  //     Following ──out of step──► Searching
  //     Following ──TLS that cannot be followed──► Encrypted ──plain EHLO──► Following
  //
  // A SYN leads to Following at once. Over: finish(), or no mail.
  enum class State : std::uint8_t { Searching, Following, Encrypted, Over };

  // Payload that came early, or a part of it that was not captured (then `bytes` is empty).
  struct Chunk {
    std::uint64_t end = 0;
    std::uint64_t order = 0;    // of arrival
    std::uint64_t time_ns = 0;  // likewise
    std::uint64_t needs = 0;    // offset in the other half that its sender had seen
    std::string bytes;
    bool missing() const { return bytes.empty(); }
  };

  struct Half {
    bool based = false;
    std::uint32_t base = 0;   // sequence number of offset 0
    std::uint64_t next = 0;   // bytes given
    std::uint64_t acked = 0;  // by the other side, as far as that is beyond `next`
    bool syn = false;
    bool payload = false;  // some was seen
    bool closed = false;   // its receive window, when it last spoke
    bool fin = false;
    std::uint64_t fin_at = 0;
    std::uint16_t mss = 0;                   // announced; 0: not
    bool timestamps = false;                 // offered
    std::map<std::uint64_t, Chunk> waiting;  // by first offset; they do not overlap

    // Where a sequence number lies, near to `next`.
    std::int64_t place(std::uint32_t number) const;
    // The same, where it lies ahead of `next` and in reach; else 0.
    std::uint64_t ahead_at(std::uint32_t number) const;
  };

  void on_syn(int side, const TcpPacket& packet);
  void on_ack(int side, const TcpPacket& packet);
  void on_payload(int side, const TcpPacket& packet);
  void on_urgent();
  void on_end(int side, const TcpPacket& packet);

  bool take_proxy_header(int side, const TcpPacket& packet);
  bool find_start(int side, const TcpPacket& packet);
  void start(int client);
  void learn_path();
  void announce(const TcpPacket& packet, std::int64_t place);
  void announce_new(classifier::Arrival arrival);
  std::uint64_t end_of_run(int side) const;
  std::uint32_t full_size(const TcpPacket& packet);

  void keep(int side, const TcpPacket& packet, std::uint64_t place, std::uint64_t needs);
  void insert(int side, std::uint64_t begin, Chunk chunk, std::string_view bytes);
  Chunk take_front(int side);
  bool unheard(int side) const;
  bool deaf_to(int side) const;
  bool deliverable(int side) const;
  void pump();
  void drop_old();
  int oldest() const;
  bool overdue() const;
  void give_up_one();
  void skip(int side, std::uint64_t end);
  void skip_sealed(int side, std::uint64_t size);
  void give_up_the_end(int side);
  void fill(int side, std::uint64_t size, std::string_view tail);
  std::string_view end_of_gap(std::uint64_t end) const;
  void forget_waiting();
  void count_waiting(std::size_t bytes);

  void give(int side, std::string_view bytes);
  void give_client(std::string_view bytes);
  void follow_in_clear(std::string_view bytes);
  void give_server(std::string_view bytes);
  void tell();
  void settle();
  void search_anew(classifier::Reason reason);
  void unobserved(classifier::Reason reason);
  void end_cut_message();

  void message(classifier::ObservedMessage&& message) override {
    tell();  // the message before it, with its own claims
    if (std::exchange(until_mail_, false) && message.envelope.mail.empty()) {
      --messages_before_;  // it is the one that was told as lost
      return;
    }
    claims_ = std::move(message.claims);
    take(std::move(message.trace));
  }
  void take(classifier::Trace&& trace);
  Connection connection() const;
  void answered(std::uint32_t) override { tell(); }
  std::shared_ptr<classifier::SealedStream> seal(classifier::SealedLog::Start&& start,
                                                 classifier::ArrivalLog&& arrivals) override;
  void sealed_message(classifier::Trace&& trace) override {
    take(std::move(trace));
    tell();  // it was answered
  }
  void lost(classifier::Reason reason) override { lost_ = reason; }
  void text_skipped() override;

  const TcpEnd ends_[2];
  TraceSink& sink_;
  const FlowLimits& limits_;
  std::size_t& all_waiting_;
  State state_ = State::Searching;
  int client_ = -1;  // which of ends_; -1: not known
  bool mail_port_ = false;
  std::optional<TcpEnd> named_;  // the client, by a PROXY header
  Half halves_[2];
  std::size_t waiting_bytes_ = 0;
  std::uint64_t order_ = 0;
  std::uint64_t now_ns_ = 0;    // of the last packet
  std::uint64_t seen_ = 0;      // payload of both sides
  std::uint64_t filled_ = 0;    // of gaps
  std::uint32_t searched_ = 0;  // packets with payload, without a start

  std::unique_ptr<classifier::Observer> observer_;
  classifier::Path path_;
  std::uint64_t syn_time_ns_ = 0;
  std::uint32_t largest_ = 0;          // payload of a single segment of the client's so far
  std::uint32_t largest_seen_ = 0;     // how often
  std::uint32_t messages_ = 0;         // of earlier observers and this one
  std::uint32_t messages_before_ = 0;  // of earlier observers
  std::optional<classifier::Reason> lost_;
  bool not_mail_ = false;
  bool until_mail_ = false;        // the transaction was told as lost before its text came
  bool rest_is_told_ = false;      // a message was told as lost, and text may be the rest of it
  bool greeting_assumed_ = false;  // it was not captured, and nothing of the server's since
  char last_ = '\n';               // the client's last byte
  bool sealed_begun_ = false;      // the client's first byte behind STARTTLS came
  bool sealed_told_ = false;       // a message under TLS was told of
  bool message_ended_ = false;
  // The last message, told when it is answered: until then its end may turn out to be ambiguous.
  std::optional<classifier::Trace> held_;
  Connection held_for_;
  classifier::Claims claims_;
  std::size_t added_ = 0;  // bytes of ours behind a cut message
};

}  // namespace recorded
