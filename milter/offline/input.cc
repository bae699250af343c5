#include "milter/offline/input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace offline {
namespace {

constexpr std::size_t kHead = 64;
// This many bytes identify every known format, so the constructor does not wait for more.
constexpr std::size_t kEnough = 16;

}  // namespace

Input::Input(const std::string& file, const Waiting& waiting) : waiting_(waiting) {
  const auto fail = [&](const char* what) {
    throw std::system_error(errno, std::generic_category(), fmt::format("{} {}", what, file));
  };
  fd_ = net::Fd(file == "-" ? ::dup(STDIN_FILENO) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd_) fail("open");
  struct stat about {};
  if (fstat(fd_.get(), &about) == 0 && S_ISREG(about.st_mode)) {
    regular_ = true;
    size_ = static_cast<std::uint64_t>(about.st_size);
    posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  head_.resize(kHead);
  std::size_t have = 0;
  while (have < kEnough) {
    const ssize_t got = read_behind_head(head_.data() + have, kHead - have);
    if (got < 0) fail("read");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  head_.resize(have);
}

// Waits until there is something to read. False: the input ends here.
bool Input::wait() {
  enum { kInput, kStop, kPeer, kCount };
  pollfd wanted[kCount] = {{.fd = regular_ ? -1 : fd_.get(), .events = POLLIN, .revents = 0},
                           {.fd = waiting_.stop, .events = POLLIN, .revents = 0},
                           {.fd = regular_ ? -1 : waiting_.peer, .events = 0, .revents = 0}};
  const auto poll_for = [&](int timeout) {
    while (::poll(wanted, kCount, timeout) < 0 && errno == EINTR) {
    }
  };
  poll_for(0);
  if (!regular_ && wanted[kInput].revents == 0 && wanted[kStop].revents == 0) {
    if (waiting_.before) waiting_.before();
    poll_for(-1);
  }
  stopped_ = wanted[kStop].revents != 0 || wanted[kPeer].revents != 0;
  return !stopped_;
}

ssize_t Input::read_behind_head(char* buffer, std::size_t size) {
  if (stopped_ || !wait()) return 0;
  ssize_t got = 0;
  do {
    got = ::read(fd_.get(), buffer, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

std::size_t Input::read(std::span<char> buffer) {
  ssize_t got = 0;
  if (head_used_ < head_.size()) {
    const std::size_t some = std::min(buffer.size(), head_.size() - head_used_);
    std::memcpy(buffer.data(), head_.data() + head_used_, some);
    head_used_ += some;
    got = static_cast<ssize_t>(some);
  } else {
    got = read_behind_head(buffer.data(), buffer.size());
  }
  if (got < 0) throw std::system_error(errno, std::generic_category(), "read");
  read_ += static_cast<std::uint64_t>(got);
  return static_cast<std::size_t>(got);
}

}  // namespace offline
