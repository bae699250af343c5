// Which entries of the table are about an address or a network that is to be forgotten. Pure.
#pragma once

#include <functional>

#include "milter/net/address.h"
#include "milter/reputation/entry.h"
#include "milter/reputation/key.h"

namespace reputation {

// Entries of addresses in `who`, and of networks and gaits in them that lie in `who` as a whole. An
// entry of an IPv6 /64 is about each address in it. With keyed addresses `who` has to be an
// address, an IPv4 /24 or an IPv6 /48; there is nothing to find for another network.
std::function<bool(const Entry&)> entries_of(const Keys& keys, const net::Network& who);

}  // namespace reputation
