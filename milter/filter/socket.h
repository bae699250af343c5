// The socket on which libmilter waits for Postfix: checked before libmilter opens it, because
// libmilter tells only syslog what was wrong.
#pragma once

#include <string>

#include "milter/config/config.h"
#include "milter/net/fd.h"
#include "milter/net/unix_socket.h"

namespace filter {

// Looks at the socket's place. Of a unix socket: its directory must be there and writable, an old
// socket may be there if nobody answers on it. Of an inet socket: whether it can be bound. Throws
// std::system_error or std::runtime_error.
void check_place(const config::MilterSocket& socket);

// Without the group Postfix may not reach the socket; but whether it must be that group only the
// administrator knows, so this warns and goes on. `name`: empty leaves the socket alone.
void give_to_group(const std::string& path, const std::string& name);

// Postfix opens one connection a client, all at once after a pause.
inline constexpr int kMilterBacklog = 512;

class Listener {
 public:
  // Opens it through libmilter (smfi_register comes first), with the configured mode from its first
  // moment and the configured group if we may give it. Throws as check_place, or when libmilter
  // fails. Requires: one thread in the process, since the mode is set by the umask.
  explicit Listener(const config::Filter& settings);

  // New clients find no socket from here on, and its place is free for the next filter; those that
  // are connected stay. Throws std::system_error.
  void hide();

  // Whether Postfix no longer finds the socket, because its path is gone or is another's.
  bool lost() const;
  // Goes on with this socket, which listens at the configured path. Connections that there are
  // stay. Throws std::system_error. Requires: lost().
  void serve_at(net::Fd listener);

 private:
  void replace(net::Fd listener);

  config::MilterSocket name_;
  net::BoundPath path_;  // of a unix socket
  int listener_ = -1;    // libmilter's
  net::Fd unknown_;      // of an inet socket: takes its place at the end; null: it has
};

}  // namespace filter
