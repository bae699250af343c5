// The control line between the supervisor and one child: a SOCK_SEQPACKET pair.
//
// Supervisor to child:
// - "drain": finish and exit.
// - "reload\n" and the text of the new configuration. It is the text that the supervisor has
//   checked, so both use the same.
// - "ping", at regular intervals.
// - "handover" (upgrade.h): another program takes over the inherited sockets. The child closes
//   them, answers "handed over" and drains. It ignores the end of file that follows.
// - "socket\n" and its setting, with a new listening socket: the answer to "socket lost".
//
// Child to supervisor:
// - "ready", when it serves.
// - "pong", the answer to "ping".
// - "handed over".
// - "socket lost\n" and its setting: the path of its unix socket is gone. The child has no right to
//   bind another one (seccomp.h).
//
// End of file means that the supervisor is gone. The child then drains and exits.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "milter/net/fd.h"

namespace process {

// Room for the largest configuration, config::kMaxText.
inline constexpr std::size_t kMaxControlMessage = 128 * 1024;

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
  // Reload: the configuration. Socket, SocketLost: the setting of the socket; empty: the only one.
  std::string text;
  net::Fd socket{};  // Socket: a listening socket
};

// Returns both ends of a new pair, close-on-exec and blocking. Throws std::system_error.
std::pair<net::Fd, net::Fd> control_pair();

// Sends one message. Returns false if the other side is gone or the message is too large.
bool send_control(int fd, const ControlMessage& message);

// Waits for one message. On a non-blocking descriptor returns nullopt if there is none.
std::optional<ControlMessage> receive_control(int fd);

}  // namespace process
