#include "milter/net/connect_as.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "milter/net/server_socket.h"

namespace net {
namespace {

using Outcome = ConnectedAs::Outcome;

// The index of the loopback interface is the same in every network namespace.
constexpr unsigned kLoopbackIndex = 1;

bool is_link_local(const Endpoint& endpoint) {
  const auto& bytes = endpoint.bytes();
  return bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

bool same_address(const std::optional<Endpoint>& one, const Endpoint& other) {
  return one && one->bytes() == other.bytes();
}

// No machine has these addresses: "this network" (0.0.0.0/8, ::), multicast, and those above it with
// the limited broadcast. A socket that is bound to one of them may connect from an address of the
// kernel's choice.
bool is_nobodys(const Endpoint& endpoint) {
  const auto& bytes = endpoint.bytes();
  if (!endpoint.is_v4()) return bytes[0] == 0xff || bytes == Endpoint{}.bytes();
  return bytes[12] == 0 || bytes[12] >= 224;
}

Endpoint with_port(const Endpoint& endpoint, std::uint16_t port) {
  return Endpoint::from_bytes(endpoint.bytes(), port);
}

// `client`: with port 0 the kernel chooses the port when it connects, and then the port needs to be
// unused for this server only.
ConnectedAs bind_and_connect(Fd socket, const Endpoint& client, const Endpoint& server) {
  const int on = 1;
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (client.port() == 0) {
    setsockopt(socket.get(), SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  }
  sockaddr_storage storage;
  socklen_t length = client.fill(storage);
  // A link-local address belongs to an interface, and the server is reached over this one.
  if (is_link_local(client)) {
    reinterpret_cast<sockaddr_in6*>(&storage)->sin6_scope_id = kLoopbackIndex;
  }
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), length) < 0) {
    return {.outcome = Outcome::NotBound, .socket = {}, .local = {}, .error = errno};
  }
  if (!same_address(bound_to(socket.get()), client)) {
    return {.outcome = Outcome::NotBound, .socket = {}, .local = {}, .error = 0};
  }
  length = server.fill(storage);
  const auto* address = reinterpret_cast<const sockaddr*>(&storage);
  if (connect(socket.get(), address, length) < 0 && errno != EINPROGRESS) {
    return {.outcome = Outcome::NotSent, .socket = {}, .local = {}, .error = errno};
  }
  // This comparison is needed: a socket can be bound to a network's broadcast address as well, and
  // then the kernel connects it from 127.0.0.1. No byte has been sent yet.
  const auto local = bound_to(socket.get());
  if (!same_address(local, client)) {
    return {.outcome = Outcome::NotBound, .socket = {}, .local = {}, .error = 0};
  }
  return {.outcome = Outcome::Connecting, .socket = std::move(socket), .local = *local, .error = 0};
}

// Whether another port of the client may work where this one did not.
bool is_port_taken(const ConnectedAs& tried) {
  return tried.error == EACCES || tried.error == EADDRINUSE || tried.error == EADDRNOTAVAIL;
}

}  // namespace

ConnectedAs connect_as(TransparentSockets& sockets, const Endpoint& client,
                       const Endpoint& server) {
  if (client.is_loopback() || is_nobodys(client)) {
    return {.outcome = Outcome::NoClient, .socket = {}, .local = {}, .error = 0};
  }
  const auto attempt = [&](const Endpoint& name) -> ConnectedAs {
    Fd socket = sockets.take(client.is_v4());
    if (!socket) return {};
    return bind_and_connect(std::move(socket), name, server);
  };
  auto done = attempt(client);
  if (is_port_taken(done)) done = attempt(with_port(client, 0));
  return done;
}

std::string_view word(ConnectedAs::Outcome outcome) {
  switch (outcome) {
    case Outcome::Connecting:
      return "";
    case Outcome::NoSocket:
      return "no socket";
    case Outcome::NoClient:
      return "client address";
    case Outcome::NotBound:
      return "bind";
    case Outcome::NotSent:
      return "connect";
  }
  return "";
}

Endpoint loopback_of(const Endpoint& server, bool v4) {
  if (server.is_v4() == v4) return server;
  return *Endpoint::parse_address(v4 ? "127.0.0.1" : "::1", server.port());
}

bool has_family(std::span<const Endpoint> addresses, bool v4) {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const Endpoint& address) { return address.is_v4() == v4; });
}

std::string why_not_transparent(const Fd& source) {
  constexpr int kPatienceMs = 1000;
  const auto server = bound_to(source.get());
  if (!server) return "its source has no address";
  const int fd = source.get();
  TransparentSockets sockets({&fd, 1});
  const auto nobody = *Endpoint::parse_address(server->is_v4() ? "192.0.2.1" : "2001:db8::1", 0);
  const auto tried = connect_as(sockets, nobody, *server);
  if (!tried.socket) {
    return fmt::format("a connection as {} to {} fails: {}{}{}", nobody.print_address(),
                       server->print_address(), word(tried.outcome), tried.error != 0 ? ": " : "",
                       tried.error != 0 ? std::strerror(tried.error) : "");
  }
  // Connected, the socket is writable; an error makes it so as well.
  pollfd entry{tried.socket.get(), POLLOUT, 0};
  int error = ETIMEDOUT;
  socklen_t size = sizeof error;
  if (poll(&entry, 1, kPatienceMs) == 1) {
    getsockopt(tried.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error == 0) return "";
  return fmt::format("the answer to a connection as {} does not come back to this machine: {}",
                     nobody.print_address(), std::strerror(error));
}

}  // namespace net
