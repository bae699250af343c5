#include "milter/memory/forget_requests.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "milter/log/log.h"
#include "milter/process/setup_error.h"
#include "text/lines.h"

namespace memory {
namespace {

// What is read at once. A line is much shorter.
constexpr std::size_t kPiece = 4096;

// The folder belongs to the account of the service, and the command runs as root: a link that this
// account has put there must not lead root to another file. A named pipe would be waited for.
constexpr int kOwnFile = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

std::string path_in(const std::string& folder) {
  return fmt::format("{}/{}", folder, kForgetRequests);
}

bool leads_to(const std::string& path, const struct stat& file) {
  struct stat about {};
  return stat(path.c_str(), &about) == 0 && about.st_dev == file.st_dev &&
         about.st_ino == file.st_ino;
}

// The command may run as root, and the process does not.
void give_to_owner_of(const std::string& folder, int fd) {
  struct stat about {};
  if (stat(folder.c_str(), &about) == 0) (void)!fchown(fd, about.st_uid, about.st_gid);
}

}  // namespace

// A line is written at once, so that two commands at the same time do not mix theirs. If the process
// takes the file in that moment, it may have read all of it before: the line is written once more.
void request_to_forget(const std::string& folder, const net::Network& who) {
  const auto file = path_in(folder);
  const auto line = who.print() + "\n";
  struct stat about {};
  do {
    const net::Fd fd(net::check(
        ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | kOwnFile, 0660), "write " + file));
    give_to_owner_of(folder, fd.get());
    net::check(fstat(fd.get(), &about), "write " + file);
    if (about.st_size >= kMostForgetBytes) {
      throw process::SetupError(
          EX_TEMPFAIL,
          fmt::format("{}: is full of networks that wait to be forgotten. The messages of {} are "
                      "deleted, and its reputation is not: try again when the service has run for "
                      "some minutes",
                      file, who.print()));
    }
    net::check(static_cast<int>(::write(fd.get(), line.data(), line.size())), "write " + file);
  } while (!leads_to(file, about));
}

ForgetRequests::ForgetRequests(const std::string& folder)
    : file_(path_in(folder)), taken_(file_ + ".taken") {}

// The file is moved away before it is read: what is requested later begins another one. Empty: there
// is none.
net::Fd ForgetRequests::open_next() {
  done_ = 0;
  complained_ = false;
  if (std::rename(file_.c_str(), taken_.c_str()) != 0) return {};
  return net::Fd(::open(taken_.c_str(), O_RDONLY | kOwnFile));
}

std::vector<net::Network> ForgetRequests::take(std::size_t most) {
  for (;;) {
    net::Fd fd(::open(taken_.c_str(), O_RDONLY | kOwnFile));
    if (!fd) fd = open_next();
    if (!fd) return {};
    std::string piece(kPiece, '\0');
    const auto got = ::pread(fd.get(), piece.data(), piece.size(), done_);
    if (got > 0) return networks_in({piece.data(), static_cast<std::size_t>(got)}, most);
    if (got < 0) logging::error(fmt::format("read {}: {}", taken_, std::strerror(errno)));
    // Only now: what was taken before has been worked on.
    if (unlink(taken_.c_str()) != 0) return {};
  }
}

// At the end of the file a line may lack its end.
std::vector<net::Network> ForgetRequests::networks_in(std::string_view piece, std::size_t most) {
  std::vector<net::Network> all;
  const bool is_last = piece.size() < kPiece;
  for (auto rest = piece; !rest.empty() && all.size() < most;) {
    if (!is_last && rest.find('\n') == rest.npos && rest.size() < kPiece) break;
    const auto before = rest.size();
    const auto line = text::take_line(rest);
    done_ += static_cast<off_t>(before - rest.size());
    if (const auto network = net::Network::parse(line)) {
      all.push_back(*network);
    } else if (!std::exchange(complained_, true)) {
      logging::error(fmt::format("{}: a line is not a network and is left out", file_));
    }
  }
  return all;
}

}  // namespace memory
