#include "milter/net/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "milter/net/keyed_hash.h"
#include "text/number.h"

namespace net {
namespace {

constexpr std::array<std::uint8_t, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::array<std::uint8_t, 16> mapped(const void* four_bytes) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), kMappedPrefix.data(), kMappedPrefix.size());
  std::memcpy(bytes.data() + 12, four_bytes, 4);
  return bytes;
}

bool is_mapped(const std::array<std::uint8_t, 16>& bytes) {
  return std::memcmp(bytes.data(), kMappedPrefix.data(), kMappedPrefix.size()) == 0;
}

struct Parsed {
  std::array<std::uint8_t, 16> bytes{};
  bool v4 = false;
};

std::optional<Parsed> parse_bytes(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof buffer) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;  // the NUL would end the copy
  std::memcpy(buffer, text.data(), text.size());
  buffer[text.size()] = '\0';
  in_addr v4{};
  if (inet_pton(AF_INET, buffer, &v4) == 1) return Parsed{mapped(&v4), true};
  Parsed parsed;
  if (inet_pton(AF_INET6, buffer, parsed.bytes.data()) == 1) return parsed;
  return std::nullopt;
}

std::string print_bytes(const std::array<std::uint8_t, 16>& bytes) {
  char buffer[INET6_ADDRSTRLEN];
  if (is_mapped(bytes)) {
    inet_ntop(AF_INET, bytes.data() + 12, buffer, sizeof buffer);
  } else {
    inet_ntop(AF_INET6, bytes.data(), buffer, sizeof buffer);
  }
  return buffer;
}

}  // namespace

std::optional<Endpoint> Endpoint::from(const sockaddr* address) {
  if (address == nullptr) return std::nullopt;
  Endpoint endpoint;
  if (address->sa_family == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(address);
    endpoint.bytes_ = mapped(&in->sin_addr);
    endpoint.port_ = ntohs(in->sin_port);
    return endpoint;
  }
  if (address->sa_family == AF_INET6) {
    const auto* in = reinterpret_cast<const sockaddr_in6*>(address);
    std::memcpy(endpoint.bytes_.data(), &in->sin6_addr, 16);
    endpoint.port_ = ntohs(in->sin6_port);
    return endpoint;
  }
  return std::nullopt;
}

std::optional<Endpoint> Endpoint::parse(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = text::number<std::uint16_t>(text.substr(colon + 1));
  if (!port) return std::nullopt;
  auto host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto parsed = parse_bytes(host);
  if (!parsed || parsed->v4 == bracketed) return std::nullopt;
  Endpoint endpoint;
  endpoint.bytes_ = parsed->bytes;
  endpoint.port_ = *port;
  return endpoint;
}

std::optional<Endpoint> Endpoint::parse_address(std::string_view text, std::uint16_t port) {
  if (text.substr(0, 5) == "IPv6:") text.remove_prefix(5);
  const auto parsed = parse_bytes(text);
  if (!parsed) return std::nullopt;
  Endpoint endpoint;
  endpoint.bytes_ = parsed->bytes;
  endpoint.port_ = port;
  return endpoint;
}

std::string Endpoint::print_address() const {
  return print_bytes(bytes_);
}

Endpoint Endpoint::from_bytes(std::span<const std::uint8_t, 16> address, std::uint16_t port) {
  Endpoint endpoint;
  std::copy(address.begin(), address.end(), endpoint.bytes_.begin());
  endpoint.port_ = port;
  return endpoint;
}

std::string Endpoint::print() const {
  return is_v4() ? fmt::format("{}:{}", print_address(), port_)
                 : fmt::format("[{}]:{}", print_address(), port_);
}

bool Endpoint::is_v4() const {
  return is_mapped(bytes_);
}

bool Endpoint::is_loopback() const {
  if (is_v4()) return bytes_[12] == 127;
  constexpr std::array<std::uint8_t, 16> one = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return bytes_ == one;
}

Endpoint Endpoint::site() const {
  Endpoint site = *this;
  site.port_ = 0;
  if (!is_v4()) std::memset(site.bytes_.data() + 8, 0, 8);
  return site;
}

Endpoint Endpoint::network() const {
  Endpoint network = *this;
  network.port_ = 0;
  const std::size_t kept = is_v4() ? 15 : 6;
  std::fill(network.bytes_.begin() + static_cast<std::ptrdiff_t>(kept), network.bytes_.end(), 0);
  return network;
}

socklen_t Endpoint::fill(sockaddr_storage& storage) const {
  std::memset(&storage, 0, sizeof storage);
  if (is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(&storage);
    in->sin_family = AF_INET;
    in->sin_port = htons(port_);
    std::memcpy(&in->sin_addr, bytes_.data() + 12, 4);
    return sizeof *in;
  }
  auto* in = reinterpret_cast<sockaddr_in6*>(&storage);
  in->sin6_family = AF_INET6;
  in->sin6_port = htons(port_);
  std::memcpy(&in->sin6_addr, bytes_.data(), 16);
  return sizeof *in;
}

std::optional<Network> Network::parse(std::string_view text) {
  const auto slash = text.find('/');
  const auto parsed = parse_bytes(text.substr(0, slash));
  if (!parsed) return std::nullopt;
  Network network;
  network.bytes_ = parsed->bytes;
  if (slash != std::string_view::npos) {
    const auto bits = text::number<int>(text.substr(slash + 1));
    const int most = parsed->v4 ? 32 : 128;
    if (!bits || *bits < 0 || *bits > most) return std::nullopt;
    network.bits_ = *bits + (128 - most);
  }
  for (int bit = network.bits_; bit < 128; ++bit) {
    // Host bits that are set are more often a typing error than intended.
    if (network.bytes_[bit / 8] & (0x80 >> (bit % 8))) return std::nullopt;
  }
  return network;
}

bool Network::contains(const Endpoint& endpoint) const {
  const auto& other = endpoint.bytes();
  const int whole = bits_ / 8;
  if (std::memcmp(bytes_.data(), other.data(), whole) != 0) return false;
  const int rest = bits_ % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<std::uint8_t>(0xff << (8 - rest));
  return (bytes_[whole] & mask) == (other[whole] & mask);
}

bool contains(std::span<const Network> networks, const Endpoint& endpoint) {
  return std::any_of(networks.begin(), networks.end(),
                     [&](const Network& network) { return network.contains(endpoint); });
}

bool Network::contains(const Network& other) const {
  return bits_ <= other.bits_ && contains(Endpoint::from_bytes(other.bytes_, 0));
}

std::string Network::print() const {
  return fmt::format("{}/{}", print_bytes(bytes_), is_v4() ? bits_ - 96 : bits_);
}

bool Network::is_v4() const {
  return bits_ >= 96 && is_mapped(bytes_);
}

}  // namespace net

std::size_t std::hash<net::Endpoint>::operator()(const net::Endpoint& endpoint) const noexcept {
  // Clients choose their addresses and ports. The secret, new in each process, keeps them from
  // choosing many that fall into one bucket.
  static const std::uint64_t secret = net::random_seed();
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  std::memcpy(&high, endpoint.bytes().data(), 8);
  std::memcpy(&low, endpoint.bytes().data() + 8, 8);
  return net::mix(net::mix(net::mix(secret, high), low), endpoint.port());
}
