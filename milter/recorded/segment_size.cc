#include "milter/recorded/segment_size.h"

#include <algorithm>

#include "milter/tcp/path.h"

namespace recorded {
namespace {

// Pieces of a joined packet are never smaller, whatever MSS the SYN claims: Linux sends no smaller
// segments.
constexpr std::uint32_t kSmallestUnit = 48;

constexpr std::uint32_t kEthernetV4 = 1460;   // full segment, if the path is unknown
constexpr std::uint32_t kSmallestFull = 536;  // RFC 9293, 3.7.1
// Chosen, not measured: one packet of this size may be the tail of a message; three are a full
// segment.
constexpr std::uint32_t kOftenSeen = 3;

}  // namespace

std::uint32_t SegmentSize::of(const TcpPacket& packet, std::uint32_t client_mss,
                              std::uint32_t server_mss) {
  return std::max(kSmallestUnit, likely(packet, client_mss, server_mss));
}

std::uint32_t SegmentSize::likely(const TcpPacket& packet, std::uint32_t client_mss,
                                  std::uint32_t server_mss) {
  const std::uint32_t allowed = server_mss != 0 ? server_mss : std::max(client_mss, kEthernetV4);
  const std::uint32_t bound = tcp::payload_of(allowed, packet.option_bytes);
  if (packet.size <= bound) {
    if (packet.size > largest_) largest_seen_ = 0;
    largest_ = std::max(largest_, packet.size);
    if (packet.size == largest_) ++largest_seen_;
    return packet.size;
  }
  const std::uint32_t said =
      tcp::smaller_mss(bound, tcp::payload_of(client_mss, packet.option_bytes));
  if (largest_ > said) return largest_;
  const bool often = largest_seen_ >= kOftenSeen && largest_ >= kSmallestFull;
  if (often && (packet.size % largest_ == 0 || packet.size % said != 0)) return largest_;
  return said;
}

}  // namespace recorded
