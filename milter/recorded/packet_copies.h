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
// Nearly all packets continue their stream, so they cannot be copies. They are written one after
// the other into a ring, and no search is made for them. So a large capture does not load a distant
// cache line for each of its packets.
//
// Bounded: the newest 8192 packets are kept. One thread.
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

  // One direction of a connection. The owner of the connection keeps it.
  struct Direction {
    std::uint64_t number = 0;  // unique; distinguishes its packets from all others
    std::uint32_t gaps = 0;    // gaps that its receiver has reported so far
    std::uint32_t end = 0;     // sequence number after all bytes that were seen
    bool begun = false;        // a packet was seen

    // Notes a packet. Returns true if it ends after all bytes that were seen before.
    bool carried_on_by(const TcpPacket& packet);
  };

  PacketCopies();

  // Returns true if this packet of `direction` was seen already. Otherwise remembers it.
  bool is_copy(const TcpPacket& packet, Direction& direction);

 private:
  // Not initialised: entries are read only after they were written.
  struct Seen {
    std::uint64_t hash;
    std::uint64_t time_ns;
    std::uint64_t before;  // number of the previous packet in its slot
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
  // For each slot of the hash: the number of its newest packet. 0 is older than any kept packet.
  std::array<std::uint64_t, kSlots> last_{};
};

// True if a packet reports a gap: it has no payload, and a SACK option. RFC 2018, 3.
bool reports_gap(const TcpPacket& packet);

}  // namespace recorded
