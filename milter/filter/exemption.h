// Whose mail is not judged ([exempt]), for the milter and the policy service alike. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "milter/config/config.h"
#include "milter/net/address.h"

namespace filter {

enum class Exemption : std::uint8_t {
  None,
  Authenticated,
  Loopback,
  OwnNetwork,
  ClientName,  // its confirmed name is on the list
  HeloName,    // its EHLO name is on the list, and its confirmed name ends in the same
  Relay,       // its seals are believed; the observer saw only the relay and not the sender
  Sealed,      // as Relay, with a good seal: the header stays
};
std::string_view name(Exemption exemption);

// Whether headers of our name are deleted from mail of such a client.
bool deletes_forged(Exemption exemption);

// A client as Postfix reports it.
struct Peer {
  const std::optional<net::Endpoint>& client;
  std::string_view client_name;  // as Postfix confirmed it; "unknown" if it could not
  std::string_view helo;
  bool authenticated = false;
};

// Never Relay or Sealed, which are about a message.
Exemption exemption_of(const Peer& peer, const config::Exempt& settings);

}  // namespace filter
