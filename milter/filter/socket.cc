#include "milter/filter/socket.h"

#include <fcntl.h>
#include <grp.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
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
#include "milter/net/server_socket.h"

namespace filter {
namespace {

bool is_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port > 0 && port < 65536;
}

// Requires: of an inet socket, as parse_socket has found it good.
std::uint16_t port_of(const std::string& spec) {
  const auto begin = spec.data() + spec.find(':') + 1;
  std::uint16_t port = 0;
  (void)std::from_chars(begin, spec.data() + spec.size(), port);
  return port;
}

std::string directory_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

std::optional<gid_t> group_named(const std::string& name) {
  std::vector<char> buffer(16 * 1024);
  group entry{};
  group* found = nullptr;
  if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0) return {};
  return found != nullptr ? std::optional<gid_t>(found->gr_gid) : std::nullopt;
}

// Whether a listening socket has this name.
bool is_at(int fd, const SocketName& name) {
  if (name.path.empty()) {
    const auto address = net::bound_to(fd);
    return address && address->port() == port_of(name.spec);
  }
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return false;
  return address.sun_family == AF_UNIX && name.path == address.sun_path;
}

// The descriptor that libmilter listens on: it does not tell which.
int libmilters_listener(const SocketName& name) {
  constexpr int kMost = 256;  // this early few are open
  for (int fd = 0; fd < kMost; ++fd) {
    int listening = 0;
    socklen_t size = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0)
      continue;
    if (is_at(fd, name)) return fd;
  }
  return -1;
}

// The sockets that libmilter accepts inherit it. libmilter writes the header and the answer to a
// message apart, and the second write would wait until the first is acknowledged, which Postfix's
// kernel delays for 40 ms.
void send_at_once(int listener) {
  const int on = 1;
  if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0) return;
  logging::warning(std::string("filter.socket: TCP_NODELAY is not to be had: ") +
                   std::strerror(errno) + "; each message takes 40 ms longer");
}

// A socket that listens, at a name that the kernel chooses and nobody is told. Made early: later
// seccomp forbids it.
net::Fd listen_unknown() {
  constexpr const char* kAttempt = "filter.socket: a socket for after its end";
  net::Fd fd(net::check(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), kAttempt));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  net::check(bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address.sun_family),
             kAttempt);
  net::check(listen(fd.get(), 1), kAttempt);
  return fd;
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

std::optional<net::Endpoint> address_of(const SocketName& name) {
  const auto at = name.spec.find('@');
  if (!name.path.empty() || at == std::string::npos) return std::nullopt;
  auto host = name.spec.substr(at + 1);
  if (host == "localhost") host = name.spec.starts_with("inet6:") ? "::1" : "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return net::Endpoint::parse_address(host, port_of(name.spec));
}

void check_place(const SocketName& name) {
  if (const auto address = address_of(name)) {
    const auto attempt = "filter.socket: bind " + address->print();
    net::bind(net::server_socket(*address, attempt), *address, attempt);
  }
  if (name.path.empty()) return;
  const std::string directory = directory_of(name.path);
  struct stat status {};
  net::check(stat(directory.c_str(), &status), "directory of filter.socket, " + directory);
  net::check(faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS),
             "write to the directory of filter.socket, " + directory);
  // libmilter would take the path away from whoever listens there, without a word.
  net::check_unclaimed(name.path, "filter.socket: " + name.path);
}

MilterSocket::MilterSocket(const config::Filter& settings) : name_(parse_socket(settings.socket)) {
  check_place(name_);
  if (smfi_setconn(name_.spec.data()) != MI_SUCCESS ||
      smfi_setbacklog(kMilterBacklog) != MI_SUCCESS) {
    throw std::runtime_error("filter.socket: libmilter refuses " + name_.spec);
  }
  const Umask umask(~settings.socket_mode & 0777u);
  if (smfi_opensocket(true) != MI_SUCCESS) {
    throw std::runtime_error("filter.socket: libmilter cannot listen on " + name_.spec +
                             " (it tells syslog why)");
  }
  listener_ = libmilters_listener(name_);
  if (name_.path.empty()) {
    send_at_once(listener_);
    unknown_ = listen_unknown();
    return;
  }
  give_to_group(name_.path, settings.socket_group);
  path_ = net::BoundPath(name_.path);
}

bool MilterSocket::lost() const {
  return listener_ >= 0 && !path_.intact();
}

void MilterSocket::hide() {
  path_.remove();
  // A port has no path that could be taken away, and as long as libmilter listens there, the next
  // filter cannot.
  if (unknown_ && listener_ >= 0) replace(std::move(unknown_));
}

void MilterSocket::serve_at(net::Fd listener) {
  replace(std::move(listener));
  path_ = net::BoundPath(name_.path);
}

// libmilter has no way to be given another socket, and opens none twice. Its thread waits on the
// old one, under the same number, until that one says that it is over.
void MilterSocket::replace(net::Fd listener) {
  const net::Fd old(fcntl(listener_, F_DUPFD_CLOEXEC, 0));
  net::check(dup3(listener.get(), listener_, O_CLOEXEC),
             "put another socket in the place of " + name_.spec);
  (void)shutdown(old.get(), SHUT_RDWR);
}

}  // namespace filter
