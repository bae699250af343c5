#include "milter/net/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace net {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

sockaddr_un address_of(const std::string& path, const std::string& attempt) {
  const auto address = unix_address(path);
  if (!address) fail(ENAMETOOLONG, attempt + ": the path is too long for a unix socket");
  return *address;
}

Fd unix_stream(const std::string& attempt) {
  return Fd(check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), attempt));
}

// Used for sockets to which this process may not connect: reads the kernel's list of unix sockets
// in this network namespace. Its columns:
//     Num RefCount Protocol Flags Type St Inode Path
bool is_listed_as_listening(const std::string& path) {
  constexpr unsigned long kListens = 0x10000;  // __SO_ACCEPTCON
  std::ifstream list("/proc/net/unix");
  std::string line;
  while (std::getline(list, line)) {
    std::istringstream words(line);
    std::string word;
    std::string bound;
    unsigned long flags = 0;
    words >> word >> word >> word >> std::hex >> flags >> word >> word >> word;
    std::getline(words >> std::ws, bound);
    if ((flags & kListens) != 0 && bound == path) return true;
  }
  return false;
}

}  // namespace

std::optional<sockaddr_un> unix_address(const std::string& path) {
  if (path.size() > kLongestUnixPath) return std::nullopt;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}

// A unix socket has no connection in progress to poll for: if the backlog is full, a non-blocking
// connect() fails at once. A blocking connect() waits and obeys the send timeout (kernel:
// unix_stream_connect).
Fd connect_unix(const std::string& path, std::chrono::milliseconds patience) {
  const auto address = unix_address(path);
  if (!address) {
    errno = ENAMETOOLONG;
    return {};
  }
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fd;
  const auto wait = std::max<std::int64_t>(patience.count(), 1);  // 0 would mean no timeout
  const timeval limit{wait / 1000, wait % 1000 * 1000};
  if (setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
      connect(fd.get(), reinterpret_cast<const sockaddr*>(&*address), sizeof *address) == 0) {
    return fd;
  }
  const int error = errno;
  fd.reset();
  errno = error;
  return fd;
}

void check_unclaimed(const std::string& path, const std::string& attempt) {
  const sockaddr_un address = address_of(path, attempt);
  struct stat status {};
  if (lstat(path.c_str(), &status) < 0) return;
  if (!S_ISSOCK(status.st_mode)) fail(EEXIST, attempt + ": it exists but is not a socket");
  const Fd probe = unix_stream(attempt);
  const int result =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN means that the backlog is full, so a process listens there.
  if (result == 0 || errno == EAGAIN || (errno == EACCES && is_listed_as_listening(path))) {
    fail(EADDRINUSE, attempt + ": another process listens there");
  }
}

Fd listen_unix(const std::string& path, mode_t mode, int backlog, const std::string& attempt) {
  const sockaddr_un address = address_of(path, attempt);
  check_unclaimed(path, attempt);
  Fd listener = unix_stream(attempt);
  (void)::unlink(path.c_str());
  check(bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), attempt);
  check(chmod(path.c_str(), mode), attempt);
  check(listen(listener.get(), backlog), attempt);
  return listener;
}

BoundPath::BoundPath(std::string path) : path_(std::move(path)) {
  struct stat status {};
  if (lstat(path_.c_str(), &status) < 0) return;
  device_ = status.st_dev;
  number_ = status.st_ino;
}

bool BoundPath::intact() const {
  if (path_.empty()) return true;
  struct stat status {};
  return lstat(path_.c_str(), &status) == 0 && status.st_dev == device_ && status.st_ino == number_;
}

void BoundPath::remove() const {
  if (!path_.empty() && intact()) (void)::unlink(path_.c_str());
}

}  // namespace net
