#include "milter/desk/connections.h"

#include <fcntl.h>
// linux/tcp.h and not netinet/tcp.h: glibc's tcp_info ends before the field that is read here.
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

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

Connections::Connections(const std::vector<int>& listeners, std::size_t most)
    : first_(lowest_free()), most_(most) {
  for (const int listener : listeners) {
    if (const auto address = net::bound_to(listener)) ports_.insert(address->port());
  }
}

std::vector<Connections::Connection> Connections::find(Clock::time_point now) const {
  const int end = highest(first_);
  std::vector<Connection> found;
  for (int fd = std::max(0, first_); fd < end; ++fd) {
    const auto address = net::bound_to(fd);
    if (!address || !ports_.contains(address->port())) continue;
    const auto listens = option<int>(fd, SOL_SOCKET, SO_ACCEPTCONN);
    const auto cookie = option<std::uint64_t>(fd, SOL_SOCKET, SO_COOKIE);
    const auto info = option<tcp_info>(fd, IPPROTO_TCP, TCP_INFO);
    if (listens != 0 || !cookie || !info) continue;
    Connection connection{fd, *cookie, info->tcpi_bytes_sent, now, now};
    for (const auto& known : known_) {
      if (known.cookie != *cookie) continue;
      connection.began = known.began;
      if (known.sent == connection.sent) connection.answered = known.answered;
    }
    found.push_back(connection);
  }
  return found;
}

void Connections::look_after(Clock::time_point now) {
  known_ = find(now);
  // If two came between two looks, the one with the lower descriptor most likely came first.
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
