#include "milter/filter/exemption.h"

#include <algorithm>

#include "milter/filter/host_names.h"

namespace filter {

std::string_view name(Exemption exemption) {
  switch (exemption) {
    case Exemption::None:
      return "none";
    case Exemption::Authenticated:
      return "authenticated";
    case Exemption::Loopback:
      return "loopback";
    case Exemption::OwnNetwork:
      return "own-network";
    case Exemption::ClientName:
      return "client-name";
    case Exemption::HeloName:
      return "helo-name";
    case Exemption::Relay:
      return "relay";
    case Exemption::Sealed:
      return "sealed";
  }
  return "none";
}

bool deletes_forged(Exemption exemption) {
  switch (exemption) {
    case Exemption::None:
    case Exemption::ClientName:
    case Exemption::HeloName:
    case Exemption::Relay:
    case Exemption::Sealed:
      return true;
    case Exemption::Authenticated:
    case Exemption::Loopback:
    case Exemption::OwnNetwork:
      return false;
  }
  return true;
}

Exemption exemption_of(const Peer& peer, const config::Exempt& settings) {
  if (settings.authenticated && peer.authenticated) return Exemption::Authenticated;
  if (!peer.client) return Exemption::None;
  if (settings.loopback && peer.client->is_loopback()) return Exemption::Loopback;
  if (net::contains(settings.networks, *peer.client)) return Exemption::OwnNetwork;
  if (!is_confirmed(peer.client_name)) return Exemption::None;
  if (ends_in_any(peer.client_name, settings.ptr_suffixes)) return Exemption::ClientName;
  // A client can say any name, so it counts only if the confirmed name ends in the same suffix.
  const bool said =
      std::any_of(settings.helo_suffixes.begin(), settings.helo_suffixes.end(),
                  [&peer](const std::string& suffix) {
                    return ends_in(peer.helo, suffix) && ends_in(peer.client_name, suffix);
                  });
  return said ? Exemption::HeloName : Exemption::None;
}

}  // namespace filter
