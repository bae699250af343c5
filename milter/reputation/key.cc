#include "milter/reputation/key.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "milter/seal/hmac.h"

namespace reputation {
namespace {

constexpr std::array<std::string_view, kKinds> kNames = {"site", "asn", "network", "address",
                                                         "gait"};
// The key of a gait is that of its network, with a hash of the gait in the last bits. An IPv6 /48
// and an IPv4 /24 leave them free.
constexpr std::uint64_t kGaitBits = 0xffff;

// FNV-1a. Two gaits of one network that share these bits would share an entry: one pair in 65,536.
std::uint64_t gait_bits(std::string_view gait) {
  std::uint32_t hash = 2166136261U;
  for (const char c : gait) hash = (hash ^ static_cast<std::uint8_t>(c)) * 16777619U;
  return (hash ^ hash >> 16) & kGaitBits;
}

std::uint64_t big_endian(const std::uint8_t* bytes) {
  std::uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value = value << 8 | bytes[i];
  return value;
}

// The first 64 bits; an IPv4 address is in the upper half.
std::uint64_t prefix(const net::Endpoint& endpoint) {
  const auto& bytes = endpoint.bytes();
  return endpoint.is_v4() ? big_endian(bytes.data() + 8) << 32 : big_endian(bytes.data());
}

}  // namespace

std::string_view name(Kind kind) {
  return kNames[static_cast<std::size_t>(kind)];
}

bool is_kind(std::string_view word) {
  return std::find(kNames.begin(), kNames.end(), word) != kNames.end();
}

Keys::Keys(const config::Memory& settings)
    : addresses_(settings.addresses != config::Memory::Addresses::Truncated) {
  if (settings.addresses == config::Memory::Addresses::Keyed) {
    key_ = seal::read_keys(settings.key_file).front();
  }
}

// The words are those of memory/address_form.cc, so that the table and the rows have one form.
std::uint64_t Keys::value(std::string_view word, const net::Endpoint& endpoint) const {
  if (!key_) return prefix(endpoint);
  return big_endian(
      seal::hmac_sha256(key_->secret, fmt::format("{} {}", word, endpoint.print_address())).data());
}

Origin Keys::origin(const net::Endpoint& client, std::string_view gait,
                    std::optional<std::uint32_t> asn) const {
  // The forms of HMAC do not show the family, and cannot clash.
  const bool v4 = client.is_v4() && !key_;
  Origin origin;
  if (asn) origin.asn = Key{Kind::Asn, false, *asn};
  origin.network = {Kind::Network, v4, value("network", client.network())};
  if (addresses_) origin.address = Key{Kind::Address, v4, value("address", client.site())};
  if (!gait.empty()) {
    origin.gait = Key{Kind::Gait, v4, (origin.network.value & ~kGaitBits) | gait_bits(gait)};
  }
  return origin;
}

std::uint64_t Keys::check() const {
  return key_ ? big_endian(seal::hmac_sha256(key_->secret, "reputation").data()) : 0;
}

}  // namespace reputation
