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
// Nearly all packets carry their stream on, and are no copies of anything: they are written down,
// one behind the other, and nothing is looked for. So a large capture does not fetch a line of
// memory from far away for each of its packets.
//
// Bounded: 8192 packets, of which those seen last are kept. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "milter/recorded/tcp_packet.h"

namespace recorded {

class PacketCopies {
 public:
  static constexpr std::uint64_t kWithin_ns = 20'000'000;           // with the same identification
  static constexpr std::uint64_t kUnnumberedWithin_ns = 2'000'000;  // without an identification

  // One direction of a connection, for whoever keeps the connection.
  struct Direction {
    std::uint64_t number = 0;  // tells its packets from those of all others
    std::uint32_t gaps = 0;    // that its receiver has reported so far
    std::uint32_t end = 0;     // sequence number behind all that was seen of it
    bool begun = false;        // some was

    // Takes up a packet. Whether it ends behind all that was seen before.
    bool carried_on_by(const TcpPacket& packet);
  };

  PacketCopies();

  // Whether this packet, which has a direction of its own, was seen already. What is no copy is
  // remembered.
  bool is_copy(const TcpPacket& packet, Direction& direction);

 private:
  // Not initialized: what was not written is not read.
  struct Seen {
    std::uint64_t hash;
    std::uint64_t time_ns;
    std::uint64_t before;  // the number of the one seen before it in its slot
    std::uint32_t gaps;
    std::uint8_t hops;
  };
  static constexpr std::uint64_t kPackets = 8192;
  static constexpr std::uint64_t kSlots = 1024;

  std::uint64_t hash(const TcpPacket& packet, std::uint64_t direction) const;
  const Seen* find(std::uint64_t hashed) const;
  void remember(Seen seen);

  const std::uint64_t seed_;
  std::unique_ptr<Seen[]> seen_;  // a ring: number n is at n % kPackets
  std::uint64_t next_ = kPackets + 1;
  // The number of the one seen last, by hash; 0 is too long ago for any.
  std::array<std::uint64_t, kSlots> last_{};
};

// Whether a packet reports a gap: it has no payload, and a SACK option. RFC 2018, 3.
bool reports_gap(const TcpPacket& packet);

}  // namespace recorded
