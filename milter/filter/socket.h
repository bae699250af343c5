// The socket on which libmilter waits for Postfix. It is checked before libmilter opens it, because
// libmilter reports errors only to syslog.
#pragma once

#include <string>

#include "milter/config/config.h"
#include "milter/net/fd.h"
#include "milter/net/unix_socket.h"

namespace filter {

// Checks the place of the socket. Unix socket: its directory must exist and be writable, and no
// process may answer on an old socket there. Inet socket: it must be possible to bind it. Throws
// std::system_error or std::runtime_error. `setting`: for the message.
void check_place(const config::MilterSocket& socket, const std::string& setting = "filter.socket");

// Opens policy_service.socket with the mode and the group of filter.socket. Throws
// std::system_error. Requires: the setting is there.
net::Fd bind_policy_socket(const config::Config& config);

// If the socket is not in the right group, Postfix may not reach it. Only the administrator knows
// whether it has to be, so a failure is only a warning. `name`: if empty, the socket is left as it
// is.
void give_to_group(const std::string& path, const std::string& name);

// Postfix opens one connection for each client, and after a pause for many at once. 512 was chosen,
// not measured. With a smaller backlog some of them would have to wait or fail. The kernel caps it
// at net.core.somaxconn.
inline constexpr int kMilterBacklog = 512;

class Listener {
 public:
  // Opens the socket through libmilter (call smfi_register first). It has the configured mode from
  // its first moment, and the configured group if we may give it. Throws as check_place(), or if
  // libmilter fails. Requires: the process has one thread, since the mode is set by the umask.
  explicit Listener(const config::Filter& settings);

  // From here on new clients find no socket, and its place is free for the next filter. Open
  // connections stay. Throws std::system_error.
  void hide();

  // Whether Postfix can no longer find the socket, because its path was removed or replaced.
  bool lost() const;
  // Continues with this socket, which listens at the configured path. Open connections stay. Throws
  // std::system_error. Requires: lost().
  void serve_at(net::Fd listener);

 private:
  void replace(net::Fd listener);

  config::MilterSocket name_;
  net::BoundPath path_;  // of a unix socket
  int listener_ = -1;    // libmilter's listening socket
  net::Fd unknown_;      // inet only: replaces the listener at the end; null: it has
};

}  // namespace filter
