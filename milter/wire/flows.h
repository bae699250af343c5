// The connections that are followed. Their number is limited: beyond the limit, the one that was
// silent for longest is evicted, and its messages are unobserved. One thread.
//
// A SYN alone neither begins nor ends a connection, because any host can send one with forged
// addresses and ports. It waits until the server has answered it and the client has acknowledged
// the answer. With TCP Fast Open it waits until the server has accepted the payload of the SYN.
// Waiting SYNs have a list of their own with the same limit, so a flood of them evicts no
// connection that is followed.
#pragma once

#include <chrono>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "milter/capture/wire_tap.h"
#include "milter/wire/flow.h"

namespace wire {

class Flows final : public capture::WireTap::Sink {
 public:
  // Longer than an SMTP server waits for its client (RFC 5321, 4.5.3.2: 10 minutes at most).
  static constexpr std::chrono::minutes kMostSilence{15};

  // Requires: `table` and `counters` outlive the flows. `max_session_time`: after this time new
  // messages of a connection are unobserved.
  Flows(evidence::Table& table, Counters& counters, std::size_t most, std::size_t max_segments,
        std::chrono::nanoseconds max_session_time = std::chrono::hours(24))
      : most_(most),
        shared_{table, counters, scratch_, max_segments,
                static_cast<std::uint64_t>(max_session_time.count())} {}

  void packet(const capture::WirePacket& packet) override;
  // Forgets connections that were silent for kMostSilence, and what is kept beyond the budget.
  // `now_ns`: CLOCK_MONOTONIC.
  void expire(std::uint64_t now_ns);

  std::size_t size() const { return index_.size(); }

 private:
  struct Key {
    net::Endpoint client;
    net::Endpoint server;
    bool operator==(const Key&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept;
  };
  // A packet together with a copy of the bytes that its head points to.
  struct Kept {
    explicit Kept(const capture::WirePacket& passed);
    capture::WirePacket packet;
    std::string head;
  };
  struct HalfOpen {
    Key key;
    std::unique_ptr<Kept> syn;
    std::unique_ptr<Kept> syn_ack;  // null: the server has not answered yet
  };
  using Waiting = std::list<HalfOpen>;  // the newest is first
  struct Entry {
    Entry(const Key& k, const capture::WirePacket& syn, std::uint64_t session,
          const Flow::Shared& shared)
        : key(k), flow(syn, session, shared), seen_ns(syn.time_ns) {}
    Key key;
    Flow flow;
    std::uint64_t seen_ns;
  };
  using Entries = std::list<Entry>;  // the one with the latest packet is first

  void handshake(const Key& key, const capture::WirePacket& packet);
  void wait_for_answer(const Key& key, const capture::WirePacket& syn);
  bool completes(const Key& key, const capture::WirePacket& packet) const;
  void begin(const Key& key);
  void pass(const Key& key, const capture::WirePacket& packet);
  void erase(Entries::iterator entry);
  void erase(Waiting::iterator half_open);

  const std::size_t most_;
  std::vector<char> scratch_;
  std::uint64_t begun_ = 0;  // connections so far; numbers the sessions
  const Flow::Shared shared_;
  Entries entries_;
  std::unordered_map<Key, Entries::iterator, Hash> index_;
  Waiting waiting_;
  std::unordered_map<Key, Waiting::iterator, Hash> waiting_index_;
};

}  // namespace wire
