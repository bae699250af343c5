// Distinguishes a packet that was captured twice from one that was sent twice. Mirror ports,
// bridges, routers and `-i any` show each packet two or more times, a few microseconds to
// milliseconds apart.
//
// A copy has the same addresses, numbers, flags, size, TCP options and first bytes. With IPv4 it
// also has the same identification. A sender increases that number for each packet, also for a
// retransmission. Without an identification (IPv6, systems that send 0) the time decides. A sender
// sends again only when a timer of at least 8 ms runs out (Linux: two ticks at 250 Hz), or when the
// other end reports a gap (SACK), which is visible in the capture. A packet with another hop count
// has passed a router, and is a copy.
//
// Bounded: 8192 packets, of which those seen last are kept. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "milter/recorded/tcp_packet.h"

namespace recorded {

class PacketCopies {
 public:
  static constexpr std::uint64_t kWithin_ns = 20'000'000;           // with the same identification
  static constexpr std::uint64_t kUnnumberedWithin_ns = 2'000'000;  // without an identification

  PacketCopies();

  // Whether this packet was seen already. `flow` tells its connection, and `gaps` counts the gaps
  // that the other end has reported so far. What is no copy is remembered.
  bool is_copy(const TcpPacket& packet, std::uint64_t flow, std::uint32_t gaps);

 private:
  struct Seen {
    std::uint64_t hash = 0;
    std::uint64_t time_ns = 0;
    std::uint32_t gaps = 0;
    std::uint8_t hops = 0;
  };
  static constexpr std::size_t kWays = 2;
  using Set = std::array<Seen, kWays>;  // the one seen last is in front

  std::uint64_t hash(const TcpPacket& packet, std::uint64_t flow) const;

  const std::uint64_t seed_;
  std::vector<Set> sets_;
};

// Whether a packet reports a gap: it has no payload, and a SACK option. RFC 2018, 3.
bool reports_gap(const TcpPacket& packet);

}  // namespace recorded
