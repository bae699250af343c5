// Computes the size of the segments that a captured packet consists of. Network cards and kernels
// join segments before a capture sees them (GRO, LRO), or cut packets after it (TSO).
//
// A packet larger than the server allowed must be joined. Its pieces are then as large as the path
// allows. Segments that came alone show this size best; otherwise the MSS of both SYNs gives it. If
// the MTU of the path changes, the client may send more than its SYN announced, so only the
// server's MSS is a limit. Not thread-safe.
#pragma once

#include <cstdint>

#include "milter/recorded/tcp_packet.h"

namespace recorded {

class SegmentSize {
 public:
  // Returns the payload of each segment of the client's packet but the last. The MSS are those that
  // both ends announced; 0: not announced.
  std::uint32_t of(const TcpPacket& packet, std::uint32_t client_mss, std::uint32_t server_mss);

 private:
  std::uint32_t likely(const TcpPacket& packet, std::uint32_t client_mss, std::uint32_t server_mss);

  std::uint32_t largest_ = 0;       // largest payload so far of a packet that is one segment
  std::uint32_t largest_seen_ = 0;  // number of packets with that payload
};

}  // namespace recorded
