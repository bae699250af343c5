// How addresses stand in the store, by the setting memory.addresses. A row has the client's address
// and its network apart, so that the address can be taken away after some days and the network
// stays.
//
//     full        192.0.2.7          192.0.2.0/24        2001:db8:1::7     2001:db8:1::/48
//     truncated   nothing            192.0.2.0/24        nothing           2001:db8:1::/48
//     keyed       16 digits          16 digits           of HMAC-SHA-256, each with its own word
//
// Pure; safe from any thread once made.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"
#include "milter/net/address.h"

namespace memory {

class AddressForm {
 public:
  // With Keyed it reads the first key of `settings.key_file` (seal/keys.h), which it throws
  // std::runtime_error about.
  explicit AddressForm(const config::Memory& settings);
  // The keyed forms by each key of `key_file`, the newest first: rows are of the key of their time.
  static std::vector<AddressForm> of_keys(const std::string& key_file);

  // Empty: the address is not stored.
  std::string address(const net::Endpoint& client) const;
  std::string network(const net::Endpoint& client) const;

 private:
  explicit AddressForm(seal::Key key);
  std::string keyed(std::string_view level, const net::Endpoint& endpoint) const;

  config::Memory::Addresses kind_;
  std::optional<seal::Key> key_;  // of Keyed
};

// "192.0.2.0/24", "2001:db8:1::/48": the network that `client` is in (Endpoint::network).
std::string print_network(const net::Endpoint& client);
// True for the networks that rows have: an IPv4 /24, an IPv6 /48.
bool is_row_network(const net::Network& who);
// How the texts of all those networks begin that have a client in `who`. Empty: in different ways.
std::string row_network_begin(const net::Network& who);

// Whether a row with these two texts, either of which may be empty, is of a client in `who`. A row
// that no longer has an address, only a network, counts if `who` covers that whole network. Keyed
// texts are in no network.
bool is_within(const net::Network& who, std::string_view address, std::string_view network);

}  // namespace memory
