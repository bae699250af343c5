// Plain blocking sockets on loopback for tests: a listener, a client, send all, read until. Every
// wait is limited to a minute, so that a peer that hangs fails the test instead of stopping the
// suite.
#pragma once

#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace support {

inline constexpr int kPatienceMs = 60'000;

inline bool readable(int fd, int wait_ms = kPatienceMs) {
  pollfd item{fd, POLLIN, 0};
  return poll(&item, 1, wait_ms) == 1;
}

struct Listener {
  net::Fd fd;
  net::Endpoint address;
};

inline net::Endpoint local_address(int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  net::check(getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size), "getsockname");
  return *net::Endpoint::from(reinterpret_cast<sockaddr*>(&storage));
}

// Listens on a free port of `host` ("127.0.0.1", "[::1]").
inline Listener listen_on(const std::string& host = "127.0.0.1") {
  sockaddr_storage storage;
  const auto any = *net::Endpoint::parse(host + ":0");
  const socklen_t size = any.fill(storage);
  Listener listener;
  listener.fd = net::Fd(net::check(socket(storage.ss_family, SOCK_STREAM, 0), "socket"));
  net::check(bind(listener.fd.get(), reinterpret_cast<sockaddr*>(&storage), size), "bind");
  net::check(listen(listener.fd.get(), 128), "listen");
  listener.address = local_address(listener.fd.get());
  return listener;
}

inline net::Fd connect_to(const net::Endpoint& address) {
  sockaddr_storage storage;
  const socklen_t size = address.fill(storage);
  net::Fd fd(net::check(socket(storage.ss_family, SOCK_STREAM, 0), "socket"));
  net::check(connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size), "connect");
  return fd;
}

inline net::Fd accept_one(const Listener& listener) {
  REQUIRE(readable(listener.fd.get()));
  return net::Fd(net::check(accept(listener.fd.get(), nullptr, nullptr), "accept"));
}

inline void send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;  // the reader notices it; Catch's assertions must not be used in threads
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

// Reads exactly `size` bytes, or fewer if the peer ends first.
inline std::string read_exactly(int fd, std::size_t size) {
  std::string out(size, '\0');
  std::size_t at = 0;
  while (at < size) {
    if (!readable(fd)) break;
    const ssize_t got = recv(fd, out.data() + at, size - at, 0);
    if (got <= 0) break;
    at += static_cast<std::size_t>(got);
  }
  out.resize(at);
  return out;
}

// Reads until the peer ends (or resets).
inline std::string read_to_end(int fd) {
  std::string out;
  char buffer[65536];
  while (readable(fd)) {
    const ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) return out;
    out.append(buffer, static_cast<std::size_t>(got));
  }
  FAIL("the peer did not end");
  return out;
}

}  // namespace support
