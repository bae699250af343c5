// The connections of a capture: gives each packet to its flow (tcp_flow.h) and bounds how many are
// kept. Beyond the bound the one that was silent for longest is finished, as at the capture's end,
// and so is one that was silent for too long.
// What a capture has twice is given once. The same addresses and ports in two VLANs or tunnels are
// two connections, unless their sequence numbers say that they are one (flow_networks.h).
// Traces come out in the order in which messages end. One thread.
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
    std::size_t flows = 8192;
    std::size_t waiting_bytes = 64 * 1024 * 1024;  // out of order, of all flows
    // A connection that was silent for so long, by the capture's clock, has ended: the longest that
    // RFC 5321, 4.5.3.2 lets anybody wait is ten minutes.
    std::uint64_t idle_ns = 15 * 60 * std::uint64_t{1'000'000'000};
    FlowLimits flow;
  };

  // Requires: `sink` outlives the assembly.
  TcpAssembly(MessageSink& sink, const Limits& limits);

  void packet(const TcpPacket& packet);
  // The capture has ended.
  void finish();

  std::size_t flows() const { return index_.size(); }
  std::size_t waiting_bytes() const { return waiting_; }
  std::uint64_t copies() const { return copied_; }  // packets that the capture has again

  // Connections of the same addresses and ports in VLANs and tunnels of their own; beyond it one of
  // them is finished.
  static constexpr std::size_t kMaxTwins = 8;

 private:
  // The two ends, the lesser first, so that both directions have one key.
  struct Key {
    TcpEnd low;
    TcpEnd high;
    bool operator==(const Key&) const = default;
  };
  // Seeded anew for each assembly: whoever writes the capture cannot choose what collides.
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
    PacketCopies::Direction sent[2];  // by the low and by the high end
    FlowNetworks networks;
    TcpFlow flow;
    std::uint64_t last_ns = 0;  // of its last packet
  };
  using Entries = std::list<Entry>;  // the one used last is in front

  using Index = std::unordered_multimap<Key, Entries::iterator, Hash>;

  Entry& entry_for(const TcpPacket& packet, int side);
  void add(const Key& key, const TcpPacket& packet);
  void end_idle(std::uint64_t now_ns);
  void end(Entries::iterator entry);

  MessageSink& sink_;
  const Limits limits_;
  std::size_t waiting_ = 0;
  std::uint64_t directions_ = 0;  // of all entries so far
  std::uint64_t copied_ = 0;
  Entries entries_;
  Index index_;
  PacketCopies copies_;
};

}  // namespace recorded
