#include "milter/memory/address_form.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "milter/seal/hmac.h"

namespace memory {

using Addresses = config::Memory::Addresses;

namespace {

net::Endpoint last_address(const net::Endpoint& network) {
  auto bytes = network.bytes();
  const std::size_t first_free = network.is_v4() ? 15 : 6;
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(first_free), bytes.end(), 0xff);
  return net::Endpoint::from_bytes(bytes, 0);
}

std::optional<net::Endpoint> address_in(std::string_view text) {
  return net::Endpoint::parse_address(text.substr(0, text.find('/')), 0);
}

}  // namespace

AddressForm::AddressForm(const config::Memory& settings) : kind_(settings.addresses) {
  if (kind_ == Addresses::Keyed) key_ = seal::read_keys(settings.key_file).front();
}

AddressForm::AddressForm(seal::Key key) : kind_(Addresses::Keyed), key_(std::move(key)) {}

std::vector<AddressForm> AddressForm::of_keys(const std::string& key_file) {
  std::vector<AddressForm> forms;
  for (auto& key : seal::read_keys(key_file)) forms.push_back(AddressForm(std::move(key)));
  return forms;
}

std::string AddressForm::address(const net::Endpoint& client) const {
  switch (kind_) {
    case Addresses::Full:
      return client.print_address();
    case Addresses::Truncated:
      return {};
    case Addresses::Keyed:
      return keyed("address ", client);
  }
  return {};
}

std::string AddressForm::network(const net::Endpoint& client) const {
  return kind_ == Addresses::Keyed ? keyed("network ", client.network()) : print_network(client);
}

// A word in front for each level: the keyed forms of a network and of its first address differ.
std::string AddressForm::keyed(std::string_view level, const net::Endpoint& endpoint) const {
  const auto digest =
      seal::hmac_sha256(key_->secret, fmt::format("{}{}", level, endpoint.print_address()));
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) text += fmt::format("{:02x}", digest[i]);
  return text;
}

std::string print_network(const net::Endpoint& client) {
  return fmt::format("{}/{}", client.network().print_address(), client.is_v4() ? 24 : 48);
}

bool is_row_network(const net::Network& who) {
  return who.print() == print_network(net::Endpoint::from_bytes(who.first(), 0));
}

std::string row_network_begin(const net::Network& who) {
  const auto& bytes = who.first();
  std::string begin;
  if (who.is_v4()) {
    for (int bits = 96; bits + 8 <= std::min(who.bits(), 120); bits += 8) {
      begin += fmt::format("{}.", bytes[static_cast<std::size_t>(bits / 8)]);
    }
    return begin;
  }
  // Zeros may be left out, so only the first group is certain.
  const int group = bytes[0] << 8 | bytes[1];
  return who.bits() >= 16 && group != 0 ? fmt::format("{:x}:", group) : begin;
}

bool is_within(const net::Network& who, std::string_view address, std::string_view network) {
  if (const auto client = address_in(address)) return who.contains(*client);
  const auto first = address_in(network);
  return first && who.contains(*first) && who.contains(last_address(*first));
}

}  // namespace memory
