#include "milter/offline/input.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio_ext.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace offline {
namespace {

constexpr std::size_t kHead = 64;
// Large enough that system calls do not count, small enough to stay in a core's cache.
constexpr std::size_t kBuffer = 256 * 1024;

ssize_t read_fd(int fd, char* buffer, std::size_t size) {
  ssize_t got = 0;
  do {
    got = ::read(fd, buffer, size);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

Input::Input(const std::string& file) {
  const auto fail = [&](const char* what) {
    throw std::system_error(errno, std::generic_category(), fmt::format("{} {}", what, file));
  };
  fd_ = net::Fd(file == "-" ? ::dup(STDIN_FILENO) : ::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd_) fail("open");
  struct stat about {};
  if (fstat(fd_.get(), &about) == 0 && S_ISREG(about.st_mode)) {
    size_ = static_cast<std::uint64_t>(about.st_size);
    posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  head_.resize(kHead);
  std::size_t have = 0;
  while (have < kHead) {
    const ssize_t got = read_fd(fd_.get(), head_.data() + have, kHead - have);
    if (got < 0) fail("read");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  head_.resize(have);
}

std::FILE* Input::stream() {
  std::FILE* file = fopencookie(
      this, "r", {.read = on_read, .write = nullptr, .seek = nullptr, .close = nullptr});
  if (file == nullptr) throw std::system_error(errno, std::generic_category(), "open a stream");
  buffer_ = std::make_unique<char[]>(kBuffer);
  std::setvbuf(file, buffer_.get(), _IOFBF, kBuffer);
  __fsetlocking(file, FSETLOCKING_BYCALLER);  // one thread: a lock a record is a tenth of the time
  return file;
}

ssize_t Input::on_read(void* self, char* buffer, std::size_t size) {
  return static_cast<Input*>(self)->read_some(buffer, size);
}

ssize_t Input::read_some(char* buffer, std::size_t size) {
  ssize_t got = 0;
  if (head_used_ < head_.size()) {
    const std::size_t some = std::min(size, head_.size() - head_used_);
    std::memcpy(buffer, head_.data() + head_used_, some);
    head_used_ += some;
    got = static_cast<ssize_t>(some);
  } else {
    got = read_fd(fd_.get(), buffer, size);
  }
  if (got > 0) read_ += static_cast<std::uint64_t>(got);
  return got;
}

std::size_t Input::read(std::span<char> buffer) {
  const ssize_t got = read_some(buffer.data(), buffer.size());
  if (got < 0) throw std::system_error(errno, std::generic_category(), "read");
  return static_cast<std::size_t>(got);
}

}  // namespace offline
