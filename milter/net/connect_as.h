// A connection to a server of this machine that comes from a client's own address, so that the
// server needs nobody to tell it who the client is. Way `transparent` has its connections to
// Postfix from here, and from nowhere else.
//
// Postfix lets whoever comes from 127.0.0.1 relay. So there is no connection here from any other
// address than the client's: a client that is on loopback, or has no address, is refused; the
// socket is bound before it is connected; and what the kernel says of its name is compared with the
// client's address before and behind the connect. Whatever fails, no connection is the result.
#pragma once

#include <string_view>

#include "milter/net/address.h"
#include "milter/net/fd.h"
#include "milter/net/transparent_sockets.h"

namespace net {

struct ConnectedAs {
  enum class Outcome {
    Connecting,  // or connected already
    NoSocket,    // there was no transparent socket
    NoClient,    // the client's address is not one to connect from
    NotBound,    // it could not be bound, or the kernel says another name
    NotSent,     // the server is not there, or the kernel has no route to it
  };
  Outcome outcome = Outcome::NoSocket;
  Fd socket;       // non-blocking; empty where nothing was connected
  Endpoint local;  // the client, as the server sees it: its address, and mostly its port
  int error = 0;   // errno, where a call has failed
};

// Connects to `server`, which is on loopback, as `client`. The client's port is taken where it can
// be had. It cannot where it is below 1024 (CAP_NET_BIND_SERVICE), where somebody here listens on
// it, and where the same port of this client has a connection to `server` already: a session with
// another address of ours, or one that ended a moment ago (TIME_WAIT). Then the kernel chooses a
// port, of the same address.
ConnectedAs connect_as(TransparentSockets& sockets, const Endpoint& client, const Endpoint& server);

// "no socket", "client address", "bind", "connect"; empty for Connecting.
std::string_view word(ConnectedAs::Outcome outcome);

// The address on loopback that stands for `server` to a client of that family: 127.0.0.1 or ::1,
// where `server` itself is of the other one.
Endpoint loopback_of(const Endpoint& server, bool v4);

// Whether the way is there: connects to `source` (transparent_sockets.h) as an address that belongs
// to nobody (192.0.2.1, 2001:db8::1), and waits up to a second for the answer to come back. Empty:
// it does; else what is missing. To be called where nobody else uses the source.
std::string why_not_transparent(const Fd& source);

}  // namespace net
