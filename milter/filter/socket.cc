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
#include <cstring>
#include <optional>
#include <stdexcept>
#include <vector>

#include "milter/log/log.h"
#include "milter/net/server_socket.h"
#include "milter/policy_service/server.h"

namespace filter {
namespace {

std::optional<gid_t> group_named(const std::string& name) {
  // For the names of the group's members; a group for which this is too small counts as missing.
  std::vector<char> buffer(16 * 1024);
  group entry{};
  group* found = nullptr;
  if (getgrnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found) != 0) return {};
  return found != nullptr ? std::optional<gid_t>(found->gr_gid) : std::nullopt;
}

// Whether `fd` is a listening socket with this name.
bool is_at(int fd, const config::MilterSocket& name) {
  if (!name.is_unix()) {
    const auto address = net::bound_to(fd);
    return address && address->port() == name.port;
  }
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return false;
  return address.sun_family == AF_UNIX && name.path == address.sun_path;
}

// The descriptor that libmilter listens on. libmilter does not report it.
int libmilters_listener(const config::MilterSocket& name) {
  constexpr int kMost = 256;  // few descriptors are open this early
  for (int fd = 0; fd < kMost; ++fd) {
    int listening = 0;
    socklen_t size = sizeof listening;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 || listening == 0)
      continue;
    if (is_at(fd, name)) return fd;
  }
  return -1;
}

// Sets TCP_NODELAY, which accepted sockets inherit. libmilter writes the header of an answer and
// the answer itself separately. The second write would wait until the first is acknowledged, and
// Postfix's kernel delays that by 40 ms.
void send_at_once(int listener) {
  const int on = 1;
  if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0) return;
  logging::warning(std::string("filter.socket: TCP_NODELAY cannot be set: ") +
                   std::strerror(errno) + "; each message takes 40 ms longer");
}

// Returns a listening socket with a name that the kernel chooses and no process knows. It must be
// made early, because seccomp forbids it later.
net::Fd listen_unknown() {
  constexpr const char* kAttempt = "filter.socket: make a socket that takes its place at the end";
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
                     " keeps its group");
    return;
  }
  if (lchown(path.c_str(), static_cast<uid_t>(-1), *group) < 0) {
    logging::warning("give " + path + " to group " + name + ": " + std::strerror(errno) +
                     " (the user of segmilter must be in that group)");
  }
}

void check_place(const config::MilterSocket& socket, const std::string& setting) {
  if (const auto address = socket.address()) {
    const auto attempt = setting + ": bind " + address->print();
    net::bind(net::server_socket(*address, attempt), *address, attempt);
  }
  if (!socket.is_unix()) return;
  const auto directory = net::folder_of(socket.path);
  struct stat status {};
  net::check(stat(directory.c_str(), &status), "directory of " + setting + ", " + directory);
  net::check(faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS),
             "write to the directory of " + setting + ", " + directory);
  // libmilter would silently take the path away from a process that listens there.
  net::check_unclaimed(socket.path, setting + ": " + socket.path);
}

net::Fd bind_policy_socket(const config::Config& config) {
  const auto& socket = *config.policy_service.socket;
  auto listener = policy_service::listen_at(socket, config.filter.socket_mode);
  if (socket.is_unix()) give_to_group(socket.path, config.filter.socket_group);
  return listener;
}

Listener::Listener(const config::Filter& settings) : name_(settings.socket) {
  check_place(name_);
  auto spelled = name_.print();
  if (smfi_setconn(spelled.data()) != MI_SUCCESS || smfi_setbacklog(kMilterBacklog) != MI_SUCCESS) {
    throw std::runtime_error("filter.socket: libmilter refuses " + spelled);
  }
  const Umask umask(~settings.socket_mode & 0777u);
  if (smfi_opensocket(true) != MI_SUCCESS) {
    throw std::runtime_error("filter.socket: libmilter cannot listen on " + spelled +
                             " (syslog has its reason)");
  }
  listener_ = libmilters_listener(name_);
  if (!name_.is_unix()) {
    send_at_once(listener_);
    unknown_ = listen_unknown();
    return;
  }
  give_to_group(name_.path, settings.socket_group);
  path_ = net::BoundPath(name_.path);
}

bool Listener::lost() const {
  return listener_ >= 0 && !path_.intact();
}

void Listener::hide() {
  path_.remove();
  // A TCP port has no path to remove, and the next filter cannot bind it while libmilter still
  // listens there.
  if (unknown_ && listener_ >= 0) replace(std::move(unknown_));
}

void Listener::serve_at(net::Fd listener) {
  replace(std::move(listener));
  path_ = net::BoundPath(name_.path);
}

// libmilter cannot be given another socket, and opens none twice. Its thread waits on the old one,
// by its descriptor number. So the new socket takes that number, and the old one is shut down to
// end the wait.
void Listener::replace(net::Fd listener) {
  const net::Fd old(fcntl(listener_, F_DUPFD_CLOEXEC, 0));
  net::check(dup3(listener.get(), listener_, O_CLOEXEC),
             "put another socket in the place of " + name_.print());
  (void)shutdown(old.get(), SHUT_RDWR);
}

}  // namespace filter
