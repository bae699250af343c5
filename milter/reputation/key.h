// What the table of reputations has entries of, and the keys under which it has them.
//
//     Site      all mail of this host
//     Asn       an autonomous system, where a file of networks is configured (networks.h)
//     Network   an IPv4 /24 or an IPv6 /48
//     Address   an IPv4 address or an IPv6 /64; none with memory.addresses = "truncated"
//     Gait      one program in one network: it tells the mail server behind a NAT from its bots
//
// Keys follow the setting memory.addresses: with "keyed" they are made by HMAC with the key of
// memory.key_file, from the same words as the store has them (memory/address_form.h).
// Pure; safe from any thread once made.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "milter/config/config.h"
#include "milter/net/address.h"

namespace reputation {

enum class Kind : std::uint8_t { Site, Asn, Network, Address, Gait };
inline constexpr std::size_t kKinds = 5;
std::string_view name(Kind kind);  // "site", "asn", "network", "address", "gait"
bool is_kind(std::string_view word);

struct Key {
  Kind kind = Kind::Site;
  bool v4 = false;  // of plain networks and addresses: the families do not share keys
  std::uint64_t value = 0;
  bool operator==(const Key&) const = default;
};

inline constexpr Key kSite{};

// Where a message is from, by all levels. A level that is not known is left out.
struct Origin {
  std::optional<Key> asn;
  Key network;
  std::optional<Key> address;
  std::optional<Key> gait;
  // The message had an address, which is not kept any more.
  bool lost_address = false;
};

class Keys {
 public:
  // With Keyed it reads the first key of `settings.key_file`. Throws std::runtime_error if that
  // cannot be read.
  explicit Keys(const config::Memory& settings);

  // `gait`: a name of the book; empty: not known.
  Origin origin(const net::Endpoint& client, std::string_view gait,
                std::optional<std::uint32_t> asn) const;

  // Tells tables that were made with different keys apart. It is 0 without a key.
  std::uint64_t check() const;

 private:
  std::uint64_t value(std::string_view word, const net::Endpoint& prefix) const;

  bool addresses_ = true;
  std::optional<seal::Key> key_;  // of Keyed
};

}  // namespace reputation
