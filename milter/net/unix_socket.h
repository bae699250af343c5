// Listening unix sockets at a path in the file system.
//
// The path and the socket are separate things. If another program unlinks the path and binds its
// own socket there, or a job that removes old files deletes the path, the first socket still
// listens, but clients no longer reach it. So this code never unlinks a path where a process
// listens. A process that listens can check whether its path still leads to its own socket
// (BoundPath).
#pragma once

#include <sys/types.h>
#include <sys/un.h>

#include <chrono>
#include <optional>
#include <string>

#include "milter/net/fd.h"

namespace net {

// In bytes, without the final NUL.
inline constexpr std::size_t kLongestUnixPath = sizeof(sockaddr_un::sun_path) - 1;

// Returns nullopt if the path is longer than kLongestUnixPath.
std::optional<sockaddr_un> unix_address(const std::string& path);

// The folder of an absolute path: "/run" for "/run/a.sock", "/" for "/a.sock".
std::string folder_of(const std::string& path);

// Connects to the process that listens at `path`. Blocks for at most `patience` while the backlog
// is full. Returns a null Fd on failure, with the reason in errno: EAGAIN means that the listener
// did not accept the connection in time.
Fd connect_unix(const std::string& path, std::chrono::milliseconds patience);

// Throws std::system_error if the path is in use: EADDRINUSE, "ATTEMPT: another process listens
// there: …", if a process accepts connections at `path`; EEXIST if something else than a socket is
// there.
void check_unclaimed(const std::string& path, const std::string& attempt);

// Creates a listening socket at `path` and replaces a socket file that no process serves any more.
// The socket is non-blocking and close-on-exec. Its mode is set before any client can connect.
// Throws as check_unclaimed() does, and the error of any system call that fails.
Fd listen_unix(const std::string& path, mode_t mode, int backlog, const std::string& attempt);

// A path that this process has just bound a socket to. It is recognised by its inode number: while
// the socket is open, no other file has that number.
class BoundPath {
 public:
  BoundPath() = default;  // no path: always intact, nothing to remove
  explicit BoundPath(std::string path);
  // True if clients that connect to the path still reach this socket.
  bool intact() const;
  // Unlinks the path if it is intact.
  void remove() const;

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t number_ = 0;
};

}  // namespace net
