// Creates and binds listening TCP sockets. For set-up.
#pragma once

#include <optional>
#include <string>
#include <system_error>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace net {

// Creates a socket to bind to `address`. It is non-blocking and close-on-exec, and SO_REUSEADDR
// lets it bind while closed connections of an earlier program are in TIME_WAIT. "[::]:25" accepts
// IPv6 only, so "0.0.0.0:25" can be used at the same time. Throws std::system_error "ATTEMPT:
// reason".
Fd server_socket(const Endpoint& address, const std::string& attempt);

// True if this network namespace has IPv6, that is, an interface with an IPv6 address.
bool has_ipv6();

// True if `error`, thrown by server_socket() or bind() for `address`, means that the whole address
// family is missing: IPv6 is not in the kernel or is switched off (ipv6.disable=1,
// net.ipv6.conf.all.disable_ipv6). False if only the address is wrong.
bool is_family_missing(const std::error_code& error, const Endpoint& address);

// Binds `socket` to `address`. Throws std::system_error "ATTEMPT: reason".
void bind(const Fd& socket, const Endpoint& address, const std::string& attempt);

// Returns the local address of a socket, or nullopt if it has none.
std::optional<Endpoint> bound_to(int fd);

}  // namespace net
