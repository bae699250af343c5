// Tests the same socket over TCP. It is a program of its own, because libmilter opens one socket in
// a process.
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>

#include "milter/filter/callbacks.h"
#include "milter/filter/socket.h"
#include "milter/net/server_socket.h"

namespace {

net::Endpoint free_address() {
  const auto any = *net::Endpoint::parse_address("127.0.0.1", 0);
  const auto socket = net::server_socket(any, "find a free port");
  net::bind(socket, any, "find a free port");
  return *net::bound_to(socket.get());
}

int option(int fd, int level, int name) {
  int value = -1;
  socklen_t size = sizeof value;
  return getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

// The descriptor that listens at `address`; -1: none.
int listener_at(const net::Endpoint& address) {
  for (int fd = 0; fd < 256; ++fd) {
    if (option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1 && net::bound_to(fd) == address) return fd;
  }
  return -1;
}

}  // namespace

TEST_CASE("over TCP small answers are sent at once, and a hidden socket's port is free") {
  static filter::Counters counters;
  static filter::Service service(std::make_shared<config::Config>(), counters);
  REQUIRE(smfi_register(filter::describe(service)) == MI_SUCCESS);
  const auto address = free_address();
  config::Filter settings;
  settings.socket = {
      .kind = config::MilterSocket::Kind::Inet, .host = "127.0.0.1", .port = address.port()};
  filter::Listener socket(settings);
  CHECK_FALSE(socket.lost());
  const int listener = listener_at(address);
  REQUIRE(listener >= 0);
  CHECK(option(listener, IPPROTO_TCP, TCP_NODELAY) == 1);
  // A second listener there is refused before libmilter, which would report it only to syslog.
  CHECK_THROWS_WITH(filter::check_place(settings.socket),
                    Catch::Contains("filter.socket: bind " + address.print()));

  socket.hide();
  CHECK_NOTHROW(filter::check_place(settings.socket));
  CHECK(listener_at(address) == -1);
  CHECK(option(listener, SOL_SOCKET, SO_ACCEPTCONN) == 1);  // libmilter waits, and no client comes
  CHECK_FALSE(socket.lost());
  CHECK_NOTHROW(socket.hide());
}
