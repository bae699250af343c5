#include "milter/desk/connections.h"

#include <fcntl.h>
// linux/tcp.h and not netinet/tcp.h: glibc's tcp_info ends before the field that is read here.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "milter/net/fd.h"
#include "milter/net/server_socket.h"

namespace desk {
namespace {

int lowest_free() {
  return net::Fd(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0)).get();
}

// The desk has few descriptors besides its connections (limit_connections). In another process, as
// in tests, at most kMost descriptors are looked at.
int highest(int first) {
  constexpr rlim_t kMost = 1024;
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return first;
  return static_cast<int>(std::min<rlim_t>(limit.rlim_cur, static_cast<rlim_t>(first) + kMost));
}

template <typename Value>
std::optional<Value> option(int fd, int level, int name) {
  Value value{};
  socklen_t size = sizeof value;
  if (getsockopt(fd, level, name, &value, &size) < 0) return std::nullopt;
  return value;
}

}  // namespace

Connections::Connections(std::size_t most) : first_(lowest_free()), most_(most) {}

void Connections::belong_to(int listener) {
  if (auto where = place(listener); !where.empty()) places_.insert(std::move(where));
}

std::string Connections::place(int fd) {
  if (const auto address = net::bound_to(fd)) return std::to_string(address->port());
  sockaddr_un address{};
  socklen_t size = sizeof address;
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) < 0) return {};
  if (address.sun_family != AF_UNIX || size <= sizeof address.sun_family) return {};
  return {address.sun_path, size - sizeof address.sun_family};
}

void Connections::answered(int fd) {
  const auto cookie = option<std::uint64_t>(fd, SOL_SOCKET, SO_COOKIE);
  for (auto& known : known_) {
    if (cookie && known.cookie == *cookie && !known.is_tcp) ++known.sent;
  }
}

std::vector<Connections::Connection> Connections::find(Clock::time_point now) const {
  const int end = highest(first_);
  std::vector<Connection> found;
  for (int fd = std::max(0, first_); fd < end; ++fd) {
    const auto where = place(fd);
    if (where.empty() || !places_.contains(where)) continue;
    const auto listens = option<int>(fd, SOL_SOCKET, SO_ACCEPTCONN);
    const auto cookie = option<std::uint64_t>(fd, SOL_SOCKET, SO_COOKIE);
    if (listens != 0 || !cookie) continue;
    const auto info = option<tcp_info>(fd, IPPROTO_TCP, TCP_INFO);
    Connection connection{.fd = fd,
                          .cookie = *cookie,
                          .is_tcp = info.has_value(),
                          .sent = info ? info->tcpi_bytes_sent : 0,
                          .sent_before = info ? info->tcpi_bytes_sent : 0,
                          .began = now,
                          .answered = now};
    for (const auto& known : known_) {
      if (known.cookie == *cookie) go_on(known, connection);
    }
    found.push_back(connection);
  }
  return found;
}

void Connections::go_on(const Connection& known, Connection& connection) {
  connection.began = known.began;
  if (!connection.is_tcp) connection.sent = known.sent;
  if (connection.sent == known.sent_before) connection.answered = known.answered;
  connection.sent_before = connection.sent;
}

void Connections::look_after(Clock::time_point now) {
  known_ = find(now);
  // If two connections came between two looks, the one with the lower descriptor is probably older.
  std::stable_sort(known_.begin(), known_.end(),
                   [](const auto& one, const auto& two) { return one.began < two.began; });
  std::size_t too_many = known_.size() > most_ ? known_.size() - most_ : 0;
  for (const auto& connection : known_) {
    if (now - connection.answered < kPatience && too_many == 0) continue;
    if (too_many > 0) --too_many;
    (void)shutdown(connection.fd, SHUT_RDWR);
  }
}

}  // namespace desk
