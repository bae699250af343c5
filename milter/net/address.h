// Internet addresses with ports, and networks. Both families in one 16-byte form (IPv4 as
// ::ffff:a.b.c.d), so that a client that Postfix calls 192.0.2.7 and one that a dual-stack socket
// calls ::ffff:192.0.2.7 are the same key.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace net {

class Endpoint {
 public:
  Endpoint() = default;
  // nullopt for a family other than AF_INET and AF_INET6, or a null pointer.
  static std::optional<Endpoint> from(const sockaddr* address);
  // "192.0.2.7:25", "[2001:db8::1]:25". Without a port: nullopt.
  static std::optional<Endpoint> parse(std::string_view text);
  // Address without a port or brackets, as in Postfix's {client_addr}; the prefix "IPv6:" is
  // allowed. Used with the port from {client_port}.
  static std::optional<Endpoint> parse_address(std::string_view text, std::uint16_t port);

  // `address`: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
  static Endpoint from_bytes(std::span<const std::uint8_t, 16> address, std::uint16_t port);

  std::string print() const;          // "192.0.2.7:25", "[2001:db8::1]:25"
  std::string print_address() const;  // "192.0.2.7", "2001:db8::1"
  std::uint16_t port() const { return port_; }
  bool is_v4() const;
  bool is_loopback() const;
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

  // Whom a limit per client counts: the IPv4 address, or the IPv6 /64 that one host is given. Port
  // 0.
  Endpoint site() const;
  // The network that somebody may have many sites in: the IPv4 /24, the IPv6 /48; port 0.
  Endpoint network() const;

  // Fills `storage` for bind, connect and PROXY v2: AF_INET for IPv4, else AF_INET6.
  socklen_t fill(sockaddr_storage& storage) const;

  auto operator<=>(const Endpoint&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};  // network order
  std::uint16_t port_ = 0;                // host order
};

// "192.0.2.0/24", "2001:db8::/32", or a bare address (all bits).
class Network {
 public:
  static std::optional<Network> parse(std::string_view text);
  bool contains(const Endpoint& endpoint) const;
  std::string print() const;
  bool operator==(const Network&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  int bits_ = 128;  // of the 16-byte form: an IPv4 /24 is 120
};

// Whether one of `networks` contains `endpoint`.
bool contains(std::span<const Network> networks, const Endpoint& endpoint);

}  // namespace net

template <>
struct std::hash<net::Endpoint> {
  std::size_t operator()(const net::Endpoint& endpoint) const noexcept;
};
