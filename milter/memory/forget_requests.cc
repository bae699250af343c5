#include "milter/memory/forget_requests.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>

#include "milter/log/log.h"
#include "milter/net/fd.h"
#include "text/lines.h"

namespace memory {
namespace {

constexpr std::size_t kMostBytes = 64 * 1024;

// The folder belongs to the account of the service, and the command runs as root: a link that this
// account has put there must not lead root to another file. A named pipe would be waited for.
constexpr int kOwnFile = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;

std::string path_in(const std::string& folder) {
  return fmt::format("{}/{}", folder, kForgetRequests);
}

// At most kMostBytes of the file.
std::string read_some(const std::string& file) {
  const net::Fd fd(::open(file.c_str(), O_RDONLY | kOwnFile));
  std::string text(kMostBytes, '\0');
  const auto got = fd ? ::read(fd.get(), text.data(), text.size()) : -1;
  text.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
  return text;
}

// The command may run as root, and the process does not.
void give_to_owner_of(const std::string& folder, int fd) {
  struct stat about {};
  if (stat(folder.c_str(), &about) == 0) (void)!fchown(fd, about.st_uid, about.st_gid);
}

}  // namespace

// A line is written at once, so that two commands at the same time do not mix theirs.
void request_to_forget(const std::string& folder, const net::Network& who) {
  const auto file = path_in(folder);
  const auto line = who.print() + "\n";
  const net::Fd fd(net::check(::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | kOwnFile, 0660),
                              "write " + file));
  give_to_owner_of(folder, fd.get());
  net::check(static_cast<int>(::write(fd.get(), line.data(), line.size())), "write " + file);
}

// The file is moved away before it is read, so that later requests go into a new one.
std::vector<net::Network> take_forget_requests(const std::string& folder) {
  const auto file = path_in(folder);
  const auto taken = file + ".taken";
  if (std::rename(file.c_str(), taken.c_str()) != 0 && errno != ENOENT) return {};
  const auto text = read_some(taken);
  (void)unlink(taken.c_str());
  std::vector<net::Network> all;
  for (std::string_view rest = text; !rest.empty();) {
    const auto line = text::take_line(rest);
    if (const auto network = net::Network::parse(line)) {
      all.push_back(*network);
    } else {
      logging::error(fmt::format("{}: a line is not a network and is left out", file));
    }
  }
  return all;
}

}  // namespace memory
