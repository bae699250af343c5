#include "milter/recorded/flow_networks.h"

#include <algorithm>

#include "milter/recorded/packet_copies.h"
#include "milter/tcp/flags.h"

namespace recorded {
namespace {

// True if two sequence numbers can be of one stream at about the same time. Two unrelated
// connections are that close by chance once in 2000 cases (2 MB of 4 GB).
bool near(std::uint32_t a, std::uint32_t b) {
  constexpr std::int64_t kNear = 1024 * 1024;
  const std::int64_t apart = static_cast<std::int32_t>(a - b);
  return apart >= -kNear && apart <= kNear;
}

}  // namespace

bool FlowNetworks::Side::has(std::uint64_t network) const {
  for (std::size_t i = 0; i < count; ++i) {
    if (networks[i] == network) return true;
  }
  return false;
}

bool FlowNetworks::Side::tagged() const {
  return std::any_of(networks.begin(), networks.begin() + count, [](auto n) { return n != 0; });
}

bool FlowNetworks::carries(int side, const TcpPacket& packet) const {
  const Side& own = sides_[side];
  return own.has(packet.network) || (!own.seen && sides_[1 - side].has(packet.network));
}

bool FlowNetworks::fits(int side, const TcpPacket& packet) const {
  const Side& own = sides_[side];
  const Side& other = sides_[1 - side];
  // A router between two VLANs reduces the hop count.
  if (own.seen && packet.network != 0 && own.tagged() && packet.hops == own.hops) return false;
  if (packet.has(tcp::kSyn) && !packet.has(tcp::kAck)) {
    const std::uint64_t from = std::min(own.syn_time_ns, packet.time_ns);
    const std::uint64_t to = std::max(own.syn_time_ns, packet.time_ns);
    return own.syn && own.syn_seq == packet.seq && to - from <= PacketCopies::kWithin_ns;
  }
  if (own.seen && !near(packet.seq, own.seq)) return false;
  return !packet.has(tcp::kAck) || !other.seen || near(packet.ack, other.seq);
}

void FlowNetworks::note(int side, const TcpPacket& packet) {
  Side& own = sides_[side];
  own.seen = true;
  own.seq = packet.seq;
  own.hops = packet.hops;
  if (packet.has(tcp::kSyn) && !own.syn) {
    own.syn = true;
    own.syn_seq = packet.seq;
    own.syn_time_ns = packet.time_ns;
  }
  if (own.count < own.networks.size() && !own.has(packet.network)) {
    own.networks[own.count++] = packet.network;
  }
}

}  // namespace recorded
