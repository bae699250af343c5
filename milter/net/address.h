// Internet addresses with ports, and networks. Both families are kept in one 16-byte form (IPv4 as
// ::ffff:a.b.c.d). So a client that Postfix calls 192.0.2.7 and a dual-stack socket calls
// ::ffff:192.0.2.7 has one key.
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
  // Returns nullopt for a null pointer and for families other than AF_INET and AF_INET6.
  static std::optional<Endpoint> from(const sockaddr* address);
  // Reads "192.0.2.7:25" and "[2001:db8::1]:25". Returns nullopt if the port is missing.
  static std::optional<Endpoint> parse(std::string_view text);
  // Reads an address without a port or brackets, as in Postfix's {client_addr}. The prefix "IPv6:"
  // is allowed. `port` comes from {client_port}.
  static std::optional<Endpoint> parse_address(std::string_view text, std::uint16_t port);

  // `address`: 16 bytes in network order, IPv4 as ::ffff:a.b.c.d.
  static Endpoint from_bytes(std::span<const std::uint8_t, 16> address, std::uint16_t port);

  std::string print() const;          // "192.0.2.7:25", "[2001:db8::1]:25"
  std::string print_address() const;  // "192.0.2.7", "2001:db8::1"
  std::uint16_t port() const { return port_; }
  bool is_v4() const;
  bool is_loopback() const;
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }

  // The unit that a limit per client counts: the IPv4 address, or the IPv6 /64 that one host
  // usually gets. The port is 0.
  Endpoint site() const;
  // The network in which one owner may have many sites: the IPv4 /24, or the IPv6 /48. The port is
  // 0.
  Endpoint network() const;

  // Fills `storage` for bind, connect and PROXY v2: AF_INET for IPv4, otherwise AF_INET6. Returns
  // the length.
  socklen_t fill(sockaddr_storage& storage) const;

  auto operator<=>(const Endpoint&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};  // network order
  std::uint16_t port_ = 0;                // host order
};

// A network such as "192.0.2.0/24" or "2001:db8::/32", or a single address (all bits).
class Network {
 public:
  static std::optional<Network> parse(std::string_view text);
  bool contains(const Endpoint& endpoint) const;
  bool contains(const Network& other) const;  // all of it
  // The lowest address, and how many bits of the 16-byte form are the same in all addresses.
  const std::array<std::uint8_t, 16>& first() const { return bytes_; }
  int bits() const { return bits_; }
  bool is_v4() const;  // all addresses are of IPv4
  std::string print() const;
  bool operator==(const Network&) const = default;

 private:
  std::array<std::uint8_t, 16> bytes_{};
  int bits_ = 128;  // counts bits of the 16-byte form: an IPv4 /24 is 120
};

// True if one of `networks` contains `endpoint`.
bool contains(std::span<const Network> networks, const Endpoint& endpoint);

}  // namespace net

template <>
struct std::hash<net::Endpoint> {
  std::size_t operator()(const net::Endpoint& endpoint) const noexcept;
};
