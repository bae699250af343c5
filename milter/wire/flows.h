// The connections that are followed, at most so many: beyond, the one that was silent for longest
// goes, and its messages are unobserved. One thread.
//
// A SYN begins no connection and ends none: anybody can send one, with the addresses and ports of
// another. It waits until the server has answered it, and the client has acknowledged the answer,
// or, with TCP Fast Open, until the server has taken what came with it. Those that wait have a list
// of their own, of as many again: a flood of them takes no room from those that are followed.
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

  // `table` and `counters` outlive the flows. `max_session_time`: then new messages of a connection
  // are unobserved.
  Flows(evidence::Table& table, Counters& counters, std::size_t most, std::size_t max_segments,
        std::chrono::nanoseconds max_session_time = std::chrono::hours(24))
      : most_(most),
        shared_{table, counters, scratch_, max_segments,
                static_cast<std::uint64_t>(max_session_time.count())} {}

  void packet(const capture::WirePacket& packet) override;
  // Forgets those that said nothing for kMostSilence, and what is kept beyond the budget. `now_ns`:
  // CLOCK_MONOTONIC.
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
  // A packet with what its head points to.
  struct Kept {
    explicit Kept(const capture::WirePacket& passed);
    capture::WirePacket packet;
    std::string head;
  };
  struct HalfOpen {
    Key key;
    std::unique_ptr<Kept> syn;
    std::unique_ptr<Kept> syn_ack;  // null: not answered yet
  };
  using Waiting = std::list<HalfOpen>;  // the newest is in front
  struct Entry {
    Entry(const Key& k, const capture::WirePacket& syn, std::uint64_t session,
          const Flow::Shared& shared)
        : key(k), flow(syn, session, shared), seen_ns(syn.time_ns) {}
    Key key;
    Flow flow;
    std::uint64_t seen_ns;
  };
  using Entries = std::list<Entry>;  // the one seen last is in front

  void handshake(const Key& key, const capture::WirePacket& packet);
  void wait_for_answer(const Key& key, const capture::WirePacket& syn);
  bool completes(const Key& key, const capture::WirePacket& packet) const;
  void begin(const Key& key);
  void pass(const Key& key, const capture::WirePacket& packet);
  void erase(Entries::iterator entry);
  void erase(Waiting::iterator half_open);

  const std::size_t most_;
  std::vector<char> scratch_;
  std::uint64_t begun_ = 0;  // so far: numbers the sessions
  const Flow::Shared shared_;
  Entries entries_;
  std::unordered_map<Key, Entries::iterator, Hash> index_;
  Waiting waiting_;
  std::unordered_map<Key, Waiting::iterator, Hash> waiting_index_;
};

}  // namespace wire
