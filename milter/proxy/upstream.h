// The connection to Postfix, and how Postfix learns who the client is: from a PROXY header in front
// of its bytes, or because the connection comes from the client's own address.
#pragma once

#include <string>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace proxy {

class Host;

struct Upstream {
  net::Fd socket;      // non-blocking, connecting or connected
  std::string header;  // goes in front of the client's bytes; empty: nothing does
  // The session's two ends as Postfix knows them, and its filter, which asks by them. What differs
  // from what the client called is the server, where there is no header, and seldom the port.
  net::Endpoint client;
  net::Endpoint server;
};

// By proxy.upstream_protocol. `client`: its address; `called`: whom it has called. Without a socket:
// there is no connection, which is counted and, where a setting may be the cause, logged.
Upstream open_upstream(Host& host, const net::Endpoint& client, const net::Endpoint& called);

// Postfix has not answered for proxy.connect_timeout. Under "transparent" that may be for want of a
// route back, which the log is told.
void note_silence(Host& host);

}  // namespace proxy
