#include "milter/net/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

namespace net {
namespace {

[[noreturn]] void fail(int error, const std::string& what) {
  throw std::system_error(error, std::generic_category(), what);
}

sockaddr_un address_of(const std::string& path, const std::string& attempt) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    fail(ENAMETOOLONG, attempt + ": longer than a unix socket's path may be");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Fd unix_stream(const std::string& attempt) {
  return Fd(check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), attempt));
}

// For sockets that this process may not connect to: the kernel's list of this network namespace.
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

void check_unclaimed(const std::string& path, const std::string& attempt) {
  const sockaddr_un address = address_of(path, attempt);
  struct stat status {};
  if (lstat(path.c_str(), &status) < 0) return;
  if (!S_ISSOCK(status.st_mode)) fail(EEXIST, attempt + ": is there and is not a socket");
  const Fd probe = unix_stream(attempt);
  const int result =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  // EAGAIN: its backlog is full, so somebody has it.
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
