// Connects to a server on this machine from a client's own address, so that the server sees the
// client itself. With upstream_protocol "transparent" all connections to Postfix are made here.
//
// Postfix lets 127.0.0.1 relay, so a connection from another address than the client's would make
// an open relay. Three things exclude it. A client on loopback, or with an address that no machine
// has, is refused. The socket is bound before it is connected. The address that the kernel reports
// for the socket is compared with the client's, before and after the connect. If anything fails,
// there is no connection.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "milter/net/address.h"
#include "milter/net/fd.h"
#include "milter/net/transparent_sockets.h"

namespace net {

struct ConnectedAs {
  enum class Outcome {
    Connecting,  // or connected already
    NoSocket,    // there was no transparent socket
    NoClient,    // no connection may come from the client's address
    NotBound,    // the socket could not be bound, or the kernel reports another address
    NotSent,     // the server does not listen, or the kernel has no route to it
  };
  Outcome outcome = Outcome::NoSocket;
  Fd socket;       // non-blocking; empty where nothing was connected
  Endpoint local;  // the client, as the server sees it: its address, and mostly its port
  int error = 0;   // errno, where a call has failed
};

// Connects to `server`, which is on loopback, as `client`. The connection comes from the client's
// port if possible. It is not possible if the port is below 1024 (this would need
// CAP_NET_BIND_SERVICE), if a program of this machine listens on that port, or if the same port of
// this client has a connection to `server` already: the client has a session with another address
// of this machine, or had one a moment ago (TIME_WAIT). Then the kernel chooses another port, and
// the address stays the client's.
ConnectedAs connect_as(TransparentSockets& sockets, const Endpoint& client, const Endpoint& server);

// "no socket", "client address", "bind", "connect"; empty for Connecting.
std::string_view word(ConnectedAs::Outcome outcome);

// The loopback address at which a client of that address family reaches `server`: `server` itself,
// or 127.0.0.1 or ::1 with the same port if `server` is of the other family.
Endpoint loopback_of(const Endpoint& server, bool v4);

// Is one of `addresses` of this address family?
bool has_family(std::span<const Endpoint> addresses, bool v4);

// The routing table that `segmilter nft --routing` fills, and that the doctor examines. Chosen so
// that it collides with no other table: Linux uses 253 to 255, and administrators usually choose
// small numbers. 29549 is 0x736d, "sm", like the default of proxy.tproxy_mark.
inline constexpr unsigned kRoutingTable = 29549;

// Tests rights and routes: connects to `source` (transparent_sockets.h) as an address that belongs
// to nobody (192.0.2.1, 2001:db8::1), and waits for the answer for at most one second. Returns an
// empty text if the answer comes back, else what is wrong. Requires: nothing else uses the source.
std::string why_not_transparent(const Fd& source);

}  // namespace net
