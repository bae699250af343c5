// The connections of a capture. Gives each packet to its flow (tcp_flow.h) and limits the number of
// flows. Beyond the limit the flow that has been silent longest is finished, as at the end of the
// capture. A flow that has been silent for too long is finished too.
//
// A packet that the capture contains twice is used once. The same addresses and ports in two VLANs
// or tunnels are two connections, unless their sequence numbers show that they are one
// (flow_networks.h).
//
// Messages are reported in the order in which they end. One thread.
#pragma once

#include <cstdint>
#include <list>
#include <unordered_map>

#include "milter/recorded/flow_networks.h"
#include "milter/recorded/packet_copies.h"
#include "milter/recorded/tcp_flow.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

class TcpAssembly {
 public:
  struct Limits {
    // Both are chosen, not measured. With lower limits connections are finished, or gaps given up,
    // while their bytes may still come; higher ones take memory.
    std::size_t flows = 8192;
    std::size_t waiting_bytes = 64 * 1024 * 1024;  // waiting bytes of all flows
    // A connection that was silent for this time, by the capture's clock, has ended. RFC 5321,
    // 4.5.3.2, allows waits of at most ten minutes.
    std::uint64_t idle_ns = 15 * 60 * std::uint64_t{1'000'000'000};
    FlowLimits flow;
  };

  // Requires: `sink` outlives the assembly.
  TcpAssembly(MessageSink& sink, const Limits& limits);

  void packet(const TcpPacket& packet);
  // Ends all connections, because the capture has ended.
  void finish();

  std::size_t flows() const { return index_.size(); }
  std::size_t waiting_bytes() const { return waiting_; }
  // Packets that the capture contains a second time.
  std::uint64_t copies() const { return copied_; }

  // Connections with the same addresses and ports in different VLANs and tunnels. One more finishes
  // the first of them. Chosen, not measured.
  static constexpr std::size_t kMaxTwins = 8;

 private:
  // The two ends, the smaller one first, so that both directions have the same key.
  struct Key {
    TcpEnd low;
    TcpEnd high;
    bool operator==(const Key&) const = default;
  };
  // The seed is new for each assembly, so the author of a capture cannot choose keys that collide.
  struct Hash {
    std::uint64_t seed;
    std::size_t operator()(const Key& key) const noexcept;
  };
  struct Entry {
    Entry(const Key& k, const TcpPacket& first, TcpAssembly& owner)
        : key(k),
          sent{{.number = ++owner.directions_}, {.number = ++owner.directions_}},
          flow(first.from, first.to, owner.sink_, owner.limits_.flow, owner.waiting_) {}
    Key key;
    PacketCopies::Direction sent[2];  // from the low end, from the high end
    FlowNetworks networks;
    TcpFlow flow;
    std::uint64_t last_ns = 0;  // time of its newest packet
  };
  using Entries = std::list<Entry>;  // most recently used first

  using Index = std::unordered_multimap<Key, Entries::iterator, Hash>;

  Entry& entry_for(const TcpPacket& packet, int side);
  void add(const Key& key, const TcpPacket& packet);
  void end_idle(std::uint64_t now_ns);
  void end(Entries::iterator entry);

  MessageSink& sink_;
  const Limits limits_;
  std::size_t waiting_ = 0;
  std::uint64_t directions_ = 0;  // number of directions of all entries so far
  std::uint64_t copied_ = 0;
  Entries entries_;
  Index index_;
  PacketCopies copies_;
};

}  // namespace recorded
