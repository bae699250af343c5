// Opens the connection to Postfix. Postfix learns the client's address from a PROXY header before
// the client's bytes, or because the connection comes from the client's own address.
#pragma once

#include <string>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace proxy {

class Host;

struct Upstream {
  net::Fd socket;      // non-blocking, connecting or connected
  std::string header;  // to be sent before the client's bytes; may be empty
  // The session's two ends as Postfix knows them; the filter asks for the session by these. Without
  // a header `server` is a loopback address, and the client's port may be another one.
  net::Endpoint client;
  net::Endpoint server;
};

// Opens it as proxy.upstream_protocol says. `called`: the address to which the client connected. If
// the result has no socket, there is no connection; the failure is counted, and logged if a setting
// may be the cause.
Upstream open_upstream(Host& host, const net::Endpoint& client, const net::Endpoint& called);

// Postfix has not answered for proxy.connect_timeout. With "transparent" the cause may be a missing
// routing rule, so the log says so.
void note_silence(Host& host);

}  // namespace proxy
