// A TCP packet as it was captured. A plain value; its bytes are borrowed.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <span>
#include <string_view>

#include "milter/net/address.h"
#include "milter/tcp/flags.h"

namespace recorded {

// An address and a port from a packet; IPv4 as ::ffff:a.b.c.d.
struct TcpEnd {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;
  // The address as two numbers, which is faster to compare and to hash than its bytes.
  std::array<std::uint64_t, 2> words() const {
    return std::bit_cast<std::array<std::uint64_t, 2>>(address);
  }
  bool operator==(const TcpEnd& other) const {
    const auto own = words();
    const auto others = other.words();
    return port == other.port && own[0] == others[0] && own[1] == others[1];
  }
  net::Endpoint endpoint() const;
};

struct TcpPacket {
  TcpEnd from;
  TcpEnd to;
  std::uint64_t time_ns = 0;
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint8_t flags = 0;
  bool window_closed = false;             // the sender's receive window is 0
  std::uint32_t option_bytes = 0;         // size of the TCP options on the wire
  std::span<const std::uint8_t> options;  // the captured part of the options
  std::uint32_t size = 0;                 // size of the payload on the wire
  std::span<const char> payload;          // the captured part of the payload, from its beginning
  // From the IP header to the end of the TCP header, for parse_syn().
  std::span<const std::uint8_t> headers;
  std::uint16_t ip_id = 0;  // IPv4's identification; 0: none (IPv6, some systems)
  std::uint8_t hops = 0;    // TTL or hop limit
  // A mix of the numbers of all VLANs and tunnels (VNI, GRE key, TEID) around the packet; 0: none.
  std::uint64_t network = 0;

  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
  std::uint32_t first_payload() const { return seq + (has(tcp::kSyn) ? 1 : 0); }  // sequence number
  std::string_view text() const { return {payload.data(), payload.size()}; }
};

// True if the port is used for mail: SMTP or submission, in clear or under TLS.
inline bool is_mail_port(std::uint16_t port) {
  return port == 25 || port == 587 || port == 465 || port == 2525;
}

}  // namespace recorded
