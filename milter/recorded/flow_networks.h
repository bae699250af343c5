// Remembers the VLANs and tunnels (TcpPacket::network) in which a connection was seen, and decides
// whether a packet from another one belongs to it.
//
// The same addresses and ports may be in use in several VLANs at the same time. But one connection
// may also be seen in several: tagged and untagged at a bridge, in one VLAN before a router and in
// another after it, or with a different tunnel number in each direction (GTP). The sequence numbers
// show which case it is. One thread.
#pragma once

#include <array>
#include <cstdint>

#include "milter/recorded/tcp_packet.h"

namespace recorded {

class FlowNetworks {
 public:
  // True if a packet of this side was noted in the packet's network. Also true if no packet of this
  // side was noted at all, and one of the other side was noted in this network.
  bool carries(int side, const TcpPacket& packet) const;
  // True if a packet of a new network continues the connection.
  bool fits(int side, const TcpPacket& packet) const;
  void note(int side, const TcpPacket& packet);

 private:
  struct Side {
    bool seen = false;
    bool syn = false;
    std::uint8_t hops = 0;
    std::uint8_t count = 0;
    std::uint32_t seq = 0;  // of the newest packet
    std::uint32_t syn_seq = 0;
    std::uint64_t syn_time_ns = 0;
    std::array<std::uint64_t, 4> networks{};  // further networks are not noted
    bool has(std::uint64_t network) const;
    bool tagged() const;
  };
  Side sides_[2];
};

}  // namespace recorded
