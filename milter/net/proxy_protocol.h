// Writes the PROXY protocol header that tells Postfix who the client is
// (haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2). Pure.
#pragma once

#include <string>

#include "milter/net/address.h"

namespace net {

// Version 1, a line of text. Both ends are given in the family of the client; where the families
// differ (a v4 client on a dual-stack socket) IPv4 is printed mapped, as TCP6.
std::string proxy_v1(const Endpoint& client, const Endpoint& server);

// Version 2, binary, command PROXY, no TLVs: 28 bytes for IPv4, 52 for IPv6.
std::string proxy_v2(const Endpoint& client, const Endpoint& server);

}  // namespace net
