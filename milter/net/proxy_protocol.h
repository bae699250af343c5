// The PROXY protocol header: written, it tells Postfix who the client is; read, it is a balancer's
// word for that (haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2). Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "milter/net/address.h"

namespace net {

// Version 1, a line of text. Both ends are given in the family of the client; where the families
// differ (a v4 client on a dual-stack socket) IPv4 is printed mapped, as TCP6.
std::string proxy_v1(const Endpoint& client, const Endpoint& server);

// Version 2, binary, command PROXY, no TLVs: 28 bytes for IPv4, 52 for IPv6.
std::string proxy_v2(const Endpoint& client, const Endpoint& server);

// The longest header that is read: version 1 by the specification; version 2 with room for TLVs
// that carry a certificate's names. Its length field could say 64 KB.
inline constexpr std::size_t kMostProxyV1 = 107;
inline constexpr std::size_t kMostProxyHeader = 4096;

// What the beginning of a connection says.
struct ProxyHeader {
  enum class Outcome {
    More,      // all of the bytes belong to a header, and more of it is to come
    Complete,  // the first `size` bytes are the header
    Refused,   // no header, or one that nobody may believe: `reason`
  };
  Outcome outcome = Outcome::More;
  std::size_t size = 0;
  // Nobody is announced: version 2 with LOCAL or an unspecified family, version 1 with UNKNOWN. The
  // connection is the sender's own, such as a health check; client and server are its own ends.
  bool local = false;
  Endpoint client;
  Endpoint server;
  std::string_view reason;  // "it …", a constant
};

// Looks at the first bytes of a connection. From kMostProxyHeader bytes on it never asks for more.
// TLVs are measured and otherwise skipped. Families that have no port (UNIX) and datagrams are
// refused: without the client's address it would have the balancer's.
ProxyHeader read_proxy_header(std::string_view bytes);

}  // namespace net
