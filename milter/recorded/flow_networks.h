// In which VLANs and tunnels (TcpPacket::network) a connection was seen, and whether a packet that
// comes in another one belongs to it. The same addresses and ports may be in use in several VLANs.
// But a connection may also be seen in several: tagged and untagged at a bridge, in one VLAN in
// front of a router and in another behind it, with a number of its own each way (GTP). Its sequence
// numbers tell. One thread.
#pragma once

#include <array>
#include <cstdint>

#include "milter/recorded/tcp_packet.h"

namespace recorded {

class FlowNetworks {
 public:
  // Whether packets of this side and network were noted, or the other side's were and none of this.
  bool carries(int side, const TcpPacket& packet) const;
  // Whether a packet of a network that is not carried continues the connection.
  bool fits(int side, const TcpPacket& packet) const;
  void note(int side, const TcpPacket& packet);

 private:
  struct Side {
    bool seen = false;
    bool syn = false;
    std::uint8_t hops = 0;
    std::uint8_t count = 0;
    std::uint32_t seq = 0;  // of the last packet
    std::uint32_t syn_seq = 0;
    std::uint64_t syn_time_ns = 0;
    std::array<std::uint64_t, 4> networks{};  // more are not noted
    bool has(std::uint64_t network) const;
    bool tagged() const;
  };
  Side sides_[2];
};

}  // namespace recorded
