#include "milter/filter/socket.h"

#include <fcntl.h>
#include <grp.h>
#include <libmilter/mfapi.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "milter/log/log.h"

namespace filter {
namespace {

constexpr int kBacklog = 512;  // Postfix opens one connection a client, all at once after a pause

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port > 0 && port < 65536;
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

sockaddr_un unix_address(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    throw std::runtime_error("filter.socket: " + path +
                             ": longer than a unix socket's path may be");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

bool can_connect(const std::string& path) {
  const sockaddr_un address = unix_address(path);
  const net::Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int result =
      connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  return result == 0 || errno == EAGAIN;  // EAGAIN: its backlog is full, so somebody has it
}

std::optional<gid_t> group_named(const std::string& name) {
  std::vector<char> buffer(16 * 1024);
  group entry{};
  group* found = nullptr;
  if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0) return {};
  return found != nullptr ? std::optional<gid_t>(found->gr_gid) : std::nullopt;
}

// Without the group Postfix may not reach the socket; but whether it must be that group only the
// administrator knows, so this warns and goes on.
void give_to_group(const std::string& path, const std::string& name) {
  if (name.empty()) return;
  const auto group = group_named(name);
  if (!group) {
    logging::warning("filter.socket_group: there is no group " + name + "; " + path +
                     " keeps the one it has");
    return;
  }
  if (lchown(path.c_str(), static_cast<uid_t>(-1), *group) < 0) {
    logging::warning("give " + path + " to group " + name + ": " + std::strerror(errno) +
                     " (the user of segmilter must be in that group)");
  }
}

class Umask {
 public:
  explicit Umask(mode_t mask) : before_(umask(mask)) {}
  ~Umask() { umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

}  // namespace

SocketName parse_socket(const std::string& text) {
  const auto colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string rest = colon == std::string::npos ? "" : text.substr(colon + 1);
  if ((kind == "unix" || kind == "local") && !rest.empty()) {
    if (rest[0] != '/') {
      throw std::runtime_error("filter.socket: " + text + ": the path must begin with /");
    }
    return {"unix:" + rest, rest};
  }
  if (kind == "inet" || kind == "inet6") {
    const auto at = rest.find('@');
    if (is_port(rest.substr(0, at)) && at != rest.size() - 1) return {text, ""};
    const auto last = rest.rfind(':');
    if (at == std::string::npos && last != std::string::npos && is_port(rest.substr(last + 1))) {
      throw std::runtime_error("filter.socket: " + text +
                               ": that is how Postfix's smtpd_milters spells it; here it is "
                               "libmilter's way, " +
                               kind + ":" + rest.substr(last + 1) + "@" + rest.substr(0, last));
    }
  }
  throw std::runtime_error("filter.socket: " + text + ": neither unix:PATH nor inet:PORT@HOST");
}

void check_place(const SocketName& name) {
  if (name.path.empty()) return;
  const std::string directory = directory_of(name.path);
  struct stat status {};
  net::check(stat(directory.c_str(), &status), "directory of filter.socket, " + directory);
  net::check(faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS),
             "write to the directory of filter.socket, " + directory);
  (void)unix_address(name.path);
  if (lstat(name.path.c_str(), &status) < 0) return;
  if (!S_ISSOCK(status.st_mode)) {
    throw std::runtime_error("filter.socket: " + name.path + ": is there and is not a socket");
  }
  // libmilter would take the path away from it without a word.
  if (can_connect(name.path)) {
    throw std::runtime_error("filter.socket: " + name.path + ": another process listens there");
  }
}

MilterSocket::MilterSocket(const config::Filter& settings) : name_(parse_socket(settings.socket)) {
  check_place(name_);
  if (smfi_setconn(name_.spec.data()) != MI_SUCCESS || smfi_setbacklog(kBacklog) != MI_SUCCESS) {
    throw std::runtime_error("filter.socket: libmilter refuses " + name_.spec);
  }
  const Umask umask(~settings.socket_mode & 0777u);
  if (smfi_opensocket(true) != MI_SUCCESS) {
    throw std::runtime_error("filter.socket: libmilter cannot listen on " + name_.spec +
                             " (it tells syslog why)");
  }
  if (name_.path.empty()) return;
  give_to_group(name_.path, settings.socket_group);
  file_ = net::Fd(::open(name_.path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
}

void MilterSocket::hide() {
  // Only while the path is still ours: a successor may have put its own socket there.
  struct stat ours {};
  struct stat there {};
  if (!file_ || fstat(file_.get(), &ours) < 0 || lstat(name_.path.c_str(), &there) < 0) return;
  if (ours.st_dev == there.st_dev && ours.st_ino == there.st_ino) unlink(name_.path.c_str());
}

}  // namespace filter
