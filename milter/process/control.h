// The line between the supervisor and one child: a SOCK_SEQPACKET pair. The supervisor says
// "drain" or "reload\n" and the whole text of the new configuration (the very text it has checked,
// so that both read the same), and "ping" now and then; the child says "ready" once it serves, and
// "pong". "handover" (upgrade.h): another program takes over what was inherited; the child lets go
// of it, says "handed over", drains, and takes the end of file that follows for nothing. A child
// whose unix socket has lost its path says "socket lost", which it may not mend itself
// (seccomp.h), and is sent "socket" with another one that listens there. End of file means that the
// supervisor is gone: the child drains and ends.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "milter/net/fd.h"

namespace process {

inline constexpr std::size_t kMaxControlMessage = 128 * 1024;  // also the limit of a configuration

struct ControlMessage {
  enum class Kind {
    Drain,
    Reload,
    Ping,
    Handover,
    Socket,
    Ready,
    Pong,
    HandedOver,
    SocketLost,
    Gone
  };
  Kind kind = Kind::Gone;
  std::string text;  // with Reload: the configuration
  net::Fd socket{};  // with Socket: it listens
};

// Both ends of a new pair, close-on-exec, blocking. Throws std::system_error.
std::pair<net::Fd, net::Fd> control_pair();

// Sends one message; false when the other side is gone or the message is too large.
bool send_control(int fd, const ControlMessage& message);

// Waits for one message (or, on a non-blocking descriptor, nullopt when there is none).
std::optional<ControlMessage> receive_control(int fd);

}  // namespace process
