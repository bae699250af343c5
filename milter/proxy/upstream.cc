#include "milter/proxy/upstream.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "milter/log/log.h"
#include "milter/net/connect_as.h"
#include "milter/net/proxy_protocol.h"
#include "milter/proxy/host.h"

namespace proxy {
namespace {

using Outcome = net::ConnectedAs::Outcome;

// A wrong setting affects every client, so the log has one line for many of them.
void warn(Host& host, std::string_view what) {
  auto& shared = host.shared();
  const auto all = shared.counters.transparent_failures();
  const auto more = shared.transparent_word.more(all, host.now());
  if (more == 0) return;
  logging::warning(fmt::format(
      "proxy.upstream_protocol \"transparent\": {} clients received 421, because {}", more, what));
}

void note_failure(Host& host, const net::Endpoint& client, const net::ConnectedAs& tried) {
  auto& counters = host.shared().counters;
  const auto count = [](process::Count& of) { of.fetch_add(1, std::memory_order_relaxed); };
  const auto* error =
      tried.error == 0 ? "the kernel reports another address" : strerror(tried.error);
  switch (tried.outcome) {
    case Outcome::Connecting:
      return;
    case Outcome::NoSocket:
      count(counters.transparent_no_socket);
      return warn(host, "there is no transparent socket for them");
    case Outcome::NoClient:
      count(counters.transparent_no_client);
      return warn(host, fmt::format("{} is not the address of another machine: Postfix might let "
                                    "it relay",
                                    client.print_address()));
    case Outcome::NotBound:
      count(counters.transparent_not_bound);
      return warn(host, fmt::format("a connection from {} cannot be made: {}",
                                    client.print_address(), error));
    case Outcome::NotSent:
      // Postfix is stopped. This is no fault of the set-up.
      if (tried.error == ECONNREFUSED) return;
      count(counters.transparent_not_sent);
      return warn(host, fmt::format("Postfix cannot be reached from {}: {}", client.print_address(),
                                    error));
  }
}

Upstream open_transparent(Host& host, const net::Endpoint& client) {
  const auto server = net::loopback_of(*host.config().proxy.upstream, client.is_v4());
  auto connected = net::connect_as(host.transparent_sockets(), client, server);
  if (!connected.socket) {
    note_failure(host, client, connected);
  } else if (connected.local != client) {
    host.shared().counters.other_port.fetch_add(1, std::memory_order_relaxed);
  }
  return {std::move(connected.socket), {}, connected.local, server};
}

Upstream open_with_header(const config::Proxy& settings, const net::Endpoint& client,
                          const net::Endpoint& called) {
  sockaddr_storage storage;
  const socklen_t length = settings.upstream->fill(storage);
  net::Fd upstream(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!upstream) return {};
  const int on = 1;
  setsockopt(upstream.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int result = connect(upstream.get(), reinterpret_cast<const sockaddr*>(&storage), length);
  if (result < 0 && errno != EINPROGRESS) return {};
  auto header = settings.upstream_protocol == config::Proxy::Protocol::ProxyV1
                    ? net::proxy_v1(client, called)
                    : net::proxy_v2(client, called);
  return {std::move(upstream), std::move(header), client, called};
}

}  // namespace

Upstream open_upstream(Host& host, const net::Endpoint& client, const net::Endpoint& called) {
  const auto& settings = host.config().proxy;
  return settings.is_transparent() ? open_transparent(host, client)
                                   : open_with_header(settings, client, called);
}

void note_silence(Host& host) {
  const auto& settings = host.config().proxy;
  if (!settings.is_transparent()) return;
  host.shared().counters.transparent_not_sent.fetch_add(1, std::memory_order_relaxed);
  warn(host, fmt::format("Postfix's answer at {} does not come back: is the routing rule there "
                         "(`segmilter nft --routing | sh -e`)?",
                         settings.upstream->print()));
}

}  // namespace proxy
