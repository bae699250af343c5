// How large the segments are of which a captured packet is made. Cards and kernels join segments
// before a capture sees them (GRO, LRO) or cut them behind it (TSO). Where a packet is larger than
// what the server allowed, its pieces are as large as the path allows: the segments that came alone
// tell best, the MSS of both SYNs else. On a path whose MTU moves the client's SYN may have said
// less than it sends, so only the server's MSS is a bound. Not thread-safe.
#pragma once

#include <cstdint>

#include "milter/recorded/tcp_packet.h"

namespace recorded {

class SegmentSize {
 public:
  // Payload of each segment of the client's packet but the last. The MSS are those that both ends
  // announced, 0: not.
  std::uint32_t of(const TcpPacket& packet, std::uint32_t client_mss, std::uint32_t server_mss);

 private:
  std::uint32_t likely(const TcpPacket& packet, std::uint32_t client_mss, std::uint32_t server_mss);

  std::uint32_t largest_ = 0;       // payload of a packet that is one segment, so far
  std::uint32_t largest_seen_ = 0;  // how often
};

}  // namespace recorded
