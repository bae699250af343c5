// Unix sockets that listen at a path of the file system. The path and the socket are two things: a
// program that unlinks the path and binds its own, or a cleaner of old files, takes the path away,
// and the socket goes on listening where nobody finds it. So a path at which somebody listens is
// never unlinked here, and whoever listens can look whether its path still leads to it.
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <chrono>
#include <optional>
#include <string>

#include "milter/net/fd.h"

namespace net {

// In bytes, without the NUL behind it.
inline constexpr std::size_t kLongestUnixPath = sizeof(sockaddr_un::sun_path) - 1;

// nullopt: the path is longer than that.
std::optional<sockaddr_un> unix_address(const std::string& path);

// The folder that an absolute path lies in: "/run/a.sock" lies in "/run", "/a.sock" in "/".
std::string folder_of(const std::string& path);

// A connection to whoever listens there, for which it is waited `patience` at most where the
// backlog is full. It blocks. Null: errno says why; EAGAIN: nobody took it in time.
Fd connect_unix(const std::string& path, std::chrono::milliseconds patience);

// Throws std::system_error (EADDRINUSE) "ATTEMPT: another process listens there: …" where somebody
// takes connections at `path`, and (EEXIST) where something is there that is no socket.
void check_unclaimed(const std::string& path, const std::string& attempt);

// A socket that listens there, in the place of one that nobody serves any more: non-blocking and
// close-on-exec. The mode is set before anyone can connect. Throws as above, and what the system
// calls say.
Fd listen_unix(const std::string& path, mode_t mode, int backlog, const std::string& attempt);

// The path that a socket of this process has just been bound to. As long as that socket is open,
// no other file has its number.
class BoundPath {
 public:
  BoundPath() = default;  // of no socket: always there, nothing to remove
  explicit BoundPath(std::string path);
  // Whether clients that connect there still reach the socket.
  bool intact() const;
  // Takes the path away, if it is intact.
  void remove() const;

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t number_ = 0;
};

}  // namespace net
