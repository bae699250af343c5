#include "milter/net/transparent_sockets.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "milter/net/server_socket.h"

namespace net {
namespace {

// Any local user may connect to a source. Connections that the stock did not make are closed. If
// there are more than this number at once, the rest waits for the next turn.
constexpr int kAcceptsInOneTurn = 64;

int level_of(bool v4) {
  return v4 ? SOL_IP : SOL_IPV6;
}

int option_of(bool v4) {
  return v4 ? IP_TRANSPARENT : IPV6_TRANSPARENT;
}

// Ends the connection of an accepted socket. The socket is kept only where the kernel says that it
// is transparent.
bool make_new(const Fd& accepted, bool v4) {
  sockaddr none{};
  none.sa_family = AF_UNSPEC;
  if (connect(accepted.get(), &none, sizeof none) < 0) return false;
  int on = 0;
  socklen_t size = sizeof on;
  return getsockopt(accepted.get(), level_of(v4), option_of(v4), &on, &size) == 0 && on != 0;
}

}  // namespace

Fd open_transparent_source(bool v4, const std::string& attempt) {
  const auto address = *Endpoint::parse_address(v4 ? "127.0.0.1" : "::1", 0);
  Fd source = server_socket(address, attempt);
  const int on = 1;
  net::check(setsockopt(source.get(), level_of(v4), option_of(v4), &on, sizeof on), attempt);
  net::bind(source, address, attempt);
  net::check(listen(source.get(), kAcceptsInOneTurn), attempt);
  return source;
}

TransparentSockets::TransparentSockets(std::span<const int> sources) {
  for (const int source : sources) {
    const auto address = bound_to(source);
    if (!address) continue;
    Family& one = family(address->is_v4());
    one.source = source;
    one.address = *address;
    fill(one);
  }
}

Fd TransparentSockets::take(bool v4) {
  Family& one = family(v4);
  // Connections that were begun earlier have arrived by now. On loopback, one that begins now has
  // arrived at once as well, unless the kernel is very busy.
  if (one.stock.empty()) gather(one);
  if (one.stock.empty()) fill(one);
  if (one.stock.empty()) return {};
  Fd taken = std::move(one.stock.back());
  one.stock.pop_back();
  if (order(one)) gather(one);
  return taken;
}

void TransparentSockets::release_sources() {
  for (Family& one : families_) {
    one.source = -1;
    one.waiting.clear();
  }
}

void TransparentSockets::on_tick() {
  for (Family& one : families_) {
    gather(one);
    std::erase_if(one.waiting, [](const Waiting& waiting) { return waiting.old; });
    for (Waiting& waiting : one.waiting) waiting.old = true;
    fill(one);
  }
}

void TransparentSockets::fill(Family& family) {
  while (order(family)) {
  }
  gather(family);
}

// Begins one more connection to the source. Returns false if there are enough, or if it fails.
bool TransparentSockets::order(Family& family) {
  if (family.source < 0 || family.stock.size() + family.waiting.size() >= kMost) return false;
  sockaddr_storage storage;
  const socklen_t length = family.address.fill(storage);
  Waiting waiting;
  waiting.socket = Fd(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!waiting.socket) return false;
  const auto* address = reinterpret_cast<const sockaddr*>(&storage);
  if (connect(waiting.socket.get(), address, length) < 0 && errno != EINPROGRESS) return false;
  const auto name = bound_to(waiting.socket.get());
  if (!name) return false;
  waiting.name = *name;
  family.waiting.push_back(std::move(waiting));
  return true;
}

void TransparentSockets::gather(Family& family) {
  for (int turn = 0; turn < kAcceptsInOneTurn && !family.waiting.empty(); ++turn) {
    sockaddr_storage storage{};
    socklen_t length = sizeof storage;
    auto* address = reinterpret_cast<sockaddr*>(&storage);
    Fd accepted(accept4(family.source, address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!accepted) return;
    const auto peer = Endpoint::from(address);
    const auto ours = std::find_if(family.waiting.begin(), family.waiting.end(),
                                   [&](const Waiting& waiting) { return waiting.name == peer; });
    if (ours == family.waiting.end()) continue;
    if (make_new(accepted, family.address.is_v4())) family.stock.push_back(std::move(accepted));
    family.waiting.erase(ours);
  }
}

}  // namespace net
