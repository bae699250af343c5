// The first steps of every TCP socket that listens. For set-up.
#pragma once

#include <optional>
#include <string>
#include <system_error>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace net {

// A socket that can be bound to `address`: non-blocking, close-on-exec, and free of the time that
// closed connections of an earlier program wait. "[::]:25" is IPv6 only, so that "0.0.0.0:25" can
// stand beside it. Throws std::system_error "ATTEMPT: reason".
Fd server_socket(const Endpoint& address, const std::string& attempt);

// Whether this machine (its network namespace) has IPv6: an interface with such an address.
bool has_ipv6();

// Whether `error`, from one of these two for `address`, says that the address's whole family is not
// there, and not that the address is wrong: IPv6 is not in the kernel, or switched off
// (ipv6.disable=1, net.ipv6.conf.all.disable_ipv6).
bool is_family_missing(const std::error_code& error, const Endpoint& address);

// Throws as above.
void bind(const Fd& socket, const Endpoint& address, const std::string& attempt);

// The address of a socket; nothing where it has none.
std::optional<Endpoint> bound_to(int fd);

}  // namespace net
