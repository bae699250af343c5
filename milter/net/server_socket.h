// The first steps of every TCP socket that listens. For set-up.
#pragma once

#include <string>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace net {

// A socket that can be bound to `address`: non-blocking, close-on-exec, and free of the time that
// closed connections of an earlier program wait. "[::]:25" is IPv6 only, so that "0.0.0.0:25" can
// stand beside it. Throws std::system_error "ATTEMPT: reason".
Fd server_socket(const Endpoint& address, const std::string& attempt);

// Throws as above.
void bind(const Fd& socket, const Endpoint& address, const std::string& attempt);

}  // namespace net
