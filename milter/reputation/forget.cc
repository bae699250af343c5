#include "milter/reputation/forget.h"

#include <array>
#include <unordered_set>

namespace reputation {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

// The lowest address that a plain key stands for.
net::Endpoint first_of(const Key& key) {
  Bytes bytes{};
  const std::size_t at = key.v4 ? 12 : 0;
  const std::size_t size = key.v4 ? 4 : key.kind == Kind::Address ? 8 : 6;
  if (key.v4) bytes[10] = bytes[11] = 0xff;
  for (std::size_t i = 0; i < size; ++i) {
    bytes[at + i] = static_cast<std::uint8_t>(key.value >> (56 - 8 * i));
  }
  return net::Endpoint::from_bytes(bytes, 0);
}

// How many bits of the 16-byte form are fixed in what the key stands for.
int bits_of(const Key& key) {
  if (key.kind == Kind::Address) return key.v4 ? 128 : 64;
  return key.v4 ? 120 : 48;
}

bool is_of_plain(const Key& key, const net::Network& who) {
  if (key.kind == Kind::Site || key.kind == Kind::Asn) return false;
  const auto first = first_of(key);
  if (who.contains(first) && who.bits() <= bits_of(key)) return true;
  // A single host of a /64.
  const auto host = net::Endpoint::from_bytes(who.first(), 0);
  return key.kind == Kind::Address && host.site() == first;
}

// All addresses of an IPv4 /24, or all /64 of an IPv6 /48.
std::vector<net::Endpoint> addresses_of(const net::Network& who) {
  std::vector<net::Endpoint> all;
  Bytes bytes = who.first();
  const bool v4 = net::Endpoint::from_bytes(bytes, 0).is_v4();
  for (unsigned i = 0; i < (v4 ? 256U : 65536U); ++i) {
    bytes[v4 ? 15 : 7] = static_cast<std::uint8_t>(i);
    if (!v4) bytes[6] = static_cast<std::uint8_t>(i >> 8);
    all.push_back(net::Endpoint::from_bytes(bytes, 0));
  }
  return all;
}

std::unordered_set<std::uint64_t> keyed_addresses(const Keys& keys, const net::Network& who,
                                                  bool is_network) {
  const auto first = net::Endpoint::from_bytes(who.first(), 0);
  std::unordered_set<std::uint64_t> values;
  for (const auto& address : is_network ? addresses_of(who) : std::vector{first}) {
    if (const auto key = keys.origin(address, {}, {}).address) values.insert(key->value);
  }
  return values;
}

}  // namespace

std::function<bool(const Entry&)> entries_of(const Keys& keys, const net::Network& who) {
  if (keys.check() == 0) {
    return [who](const Entry& entry) { return is_of_plain(entry.key, who); };
  }
  const auto first = net::Endpoint::from_bytes(who.first(), 0);
  const bool is_network = who.bits() == (first.is_v4() ? 120 : 48);
  if (!is_network && who.bits() != 128) return [](const Entry&) { return false; };
  return [values = keyed_addresses(keys, who, is_network), is_network,
          network = keys.origin(first, {}, {}).network](const Entry& entry) {
    const Key& key = entry.key;
    if (key.kind == Kind::Address) return values.contains(key.value);
    if (!is_network) return false;
    return key == network || (key.kind == Kind::Gait && key.value >> 16 == network.value >> 16);
  };
}

}  // namespace reputation
