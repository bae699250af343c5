// The PROXY header. segmilter writes one to name the client to Postfix, and reads one from a
// balancer that names the client. Format: haproxy.org/download/2.9/doc/proxy-protocol.txt, sections
// 2.1 and 2.2. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "milter/net/address.h"

namespace net {

// Writes version 1, a line of text. Both addresses are written in one family. If the families
// differ (an IPv4 client on a dual-stack socket), IPv4 is written in its mapped form, as TCP6.
std::string proxy_v1(const Endpoint& client, const Endpoint& server);

// Writes version 2: binary, command PROXY, no TLVs; 28 bytes for IPv4, 52 for IPv6.
std::string proxy_v2(const Endpoint& client, const Endpoint& server);

// The longest headers that are accepted. Version 1: the limit of the specification. Version 2: 4096
// bytes, which leaves room for TLVs with the names in a certificate; its length field could
// announce 64 KB.
inline constexpr std::size_t kMostProxyV1 = 107;
inline constexpr std::size_t kMostProxyHeader = 4096;

// The result of reading the first bytes of a connection.
struct ProxyHeader {
  enum class Outcome {
    More,      // the bytes so far belong to a header, and more of it must follow
    Complete,  // the first `size` bytes are the header
    Refused,   // no header, or one that must not be trusted; see `reason`
  };
  Outcome outcome = Outcome::More;
  std::size_t size = 0;
  // True if the header names no client: version 2 with LOCAL or an unspecified family, version 1
  // with UNKNOWN. The sender uses this connection for itself, for example for a health check. The
  // two fields below are then not set: client and server are the connection's own ends.
  bool local = false;
  Endpoint client;
  Endpoint server;
  std::string_view reason;  // a constant text that begins with "it" or "its"
};

// Reads the first bytes of a connection. Never asks for more once it has kMostProxyHeader bytes.
// The lengths of TLVs are checked, and their contents are skipped. Datagrams and families without a
// port (UNIX) are refused, because without the client's address the connection would get the
// balancer's.
ProxyHeader read_proxy_header(std::string_view bytes);

}  // namespace net
