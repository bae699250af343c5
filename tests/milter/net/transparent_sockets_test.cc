#include "milter/net/transparent_sockets.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <vector>

#include "milter/net/server_socket.h"
#include "tests/support/loopback.h"

using net::TransparentSockets;

namespace {

bool is_transparent(const net::Fd& fd) {
  int on = 0;
  socklen_t size = sizeof on;
  return getsockopt(fd.get(), SOL_IP, IP_TRANSPARENT, &on, &size) == 0 && on != 0;
}

}  // namespace

TEST_CASE("sockets of a source are transparent, non-blocking, and like new ones") {
  for (const bool v4 : {true, false}) {
    const auto source = net::open_transparent_source(v4, "source");
    const int fd = source.get();
    TransparentSockets sockets({&fd, 1});
    // More of them than are kept.
    for (std::size_t i = 0; i < 4 * TransparentSockets::kMost; ++i) {
      const auto taken = sockets.take(v4);
      REQUIRE(taken);
      CHECK(is_transparent(taken));
      CHECK((fcntl(taken.get(), F_GETFL) & O_NONBLOCK) != 0);
      CHECK((fcntl(taken.get(), F_GETFD) & FD_CLOEXEC) != 0);
      sockaddr_storage peer{};
      socklen_t size = sizeof peer;
      CHECK(getpeername(taken.get(), reinterpret_cast<sockaddr*>(&peer), &size) < 0);
    }
    CHECK_FALSE(sockets.take(!v4));
  }
}

TEST_CASE(
    "strangers who connect to the source get nothing, and no session gets their connections") {
  const auto source = net::open_transparent_source(true, "source");
  const int fd = source.get();
  const auto address = *net::bound_to(fd);
  std::vector<net::Fd> strangers;
  for (int i = 0; i < 40; ++i) strangers.push_back(support::connect_to(address));
  TransparentSockets sockets({&fd, 1});
  for (std::size_t i = 0; i < 2 * TransparentSockets::kMost; ++i) {
    const auto taken = sockets.take(true);
    REQUIRE(taken);
    CHECK(is_transparent(taken));
  }
  for (const auto& stranger : strangers) CHECK(support::read_to_end(stranger.get()).empty());
}

TEST_CASE("connections that another process has accepted are given up at the second tick") {
  const auto source = net::open_transparent_source(true, "source");
  const int fd = source.get();
  TransparentSockets thief({&fd, 1});
  TransparentSockets sockets({&fd, 1});
  // Both accept from one source: each closes what is the other's.
  int got = 0;
  for (int turn = 0; turn < 20; ++turn) {
    (void)thief.take(true);
    got += sockets.take(true) ? 1 : 0;
    thief.on_tick();
    sockets.on_tick();
  }
  CHECK(got > 0);
  // Alone again, it has as many as ever.
  sockets.on_tick();
  sockets.on_tick();
  sockets.on_tick();
  for (std::size_t i = 0; i < 2 * TransparentSockets::kMost; ++i) CHECK(sockets.take(true));
}
