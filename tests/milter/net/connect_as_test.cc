#include "milter/net/connect_as.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "milter/net/server_socket.h"
#include "tests/support/loopback.h"
#include "tests/support/own_network.h"

using net::ConnectedAs;
using net::Endpoint;
using net::TransparentSockets;
using Outcome = ConnectedAs::Outcome;

namespace {

Endpoint at(const std::string& text) {
  const auto endpoint = Endpoint::parse(text);
  REQUIRE(endpoint);
  return *endpoint;
}

// Sources are opened with all rights; what happens then is done with none.
struct Sources {
  std::vector<net::Fd> fds;
  std::vector<int> borrowed;
  Sources() {
    static const bool entered = [] {
      support::enter_own_network();
      support::shell("ip addr add 203.0.113.1/24 broadcast 203.0.113.255 dev lo");
      return true;
    }();
    REQUIRE(entered);
    for (const bool v4 : {true, false}) {
      fds.push_back(net::open_transparent_source(v4, "source"));
      borrowed.push_back(fds.back().get());
    }
  }
};

// While this object lives, no capability of the process is in force: the kernel takes them from a
// user other than root, and gives them back with root.
struct WithoutRights {
  WithoutRights() { net::check(seteuid(kNobody), "become nobody"); }
  ~WithoutRights() { (void)!seteuid(0); }
  static constexpr uid_t kNobody = 65534;
};

struct Routes {
  Routes() { support::set_transparent_routes("add"); }
  ~Routes() { support::set_transparent_routes("del"); }
};

std::optional<Endpoint> peer_of(const net::Fd& fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (getpeername(fd.get(), address, &size) < 0) return std::nullopt;
  return Endpoint::from(address);
}

// The client that the server sees; nothing if no connection has come.
std::optional<Endpoint> seen_by(const support::Listener& server, int patience_ms = 2000) {
  if (!support::readable(server.fd.get(), patience_ms)) return std::nullopt;
  return peer_of(support::accept_one(server));
}

}  // namespace

TEST_CASE("a server sees the client's own address and port, made by a process without rights") {
  const Sources sources;
  const Routes routes;
  const auto server4 = support::listen_on("127.0.0.1");
  const auto server6 = support::listen_on("[::1]");
  const WithoutRights none;
  const int on = 1;
  const net::Fd plain(socket(AF_INET, SOCK_STREAM, 0));
  REQUIRE(setsockopt(plain.get(), SOL_IP, IP_TRANSPARENT, &on, sizeof on) < 0);
  TransparentSockets sockets(sources.borrowed);
  const struct {
    const char* what;
    const char* client;
    const support::Listener& server;
  } rows[] = {
      {"IPv4", "192.0.2.7:40112", server4},
      {"IPv6", "[2001:db8::7]:40112", server6},
      {"IPv4-mapped", "[::ffff:192.0.2.8]:40113", server4},
      {"link-local", "[fe80::7]:40112", server6},
      {"a network's last address", "198.51.100.255:1024", server4},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    const auto client = at(row.client);
    const auto done = net::connect_as(sockets, client, row.server.address);
    CHECK(done.outcome == Outcome::Connecting);
    CHECK(done.local == client);
    CHECK(seen_by(row.server) == client);
  }
}

TEST_CASE("if the client's port is not free, another port of the same address is used") {
  const Sources sources;
  const Routes routes;
  const auto server = support::listen_on("127.0.0.1");
  const auto listener = support::listen_on("0.0.0.0");
  const auto taken = std::to_string(listener.address.port());
  const WithoutRights none;
  TransparentSockets sockets(sources.borrowed);
  const auto first = net::connect_as(sockets, at("192.0.2.7:40112"), server.address);
  REQUIRE(seen_by(server) == at("192.0.2.7:40112"));
  const struct {
    const char* what;
    std::string client;
  } rows[] = {
      {"below 1024, for which there is no right", "192.0.2.7:25"},
      {"somebody listens there", "192.0.2.7:" + taken},
      {"the same port, to another address of ours", "192.0.2.7:40112"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    const auto client = at(row.client);
    const auto done = net::connect_as(sockets, client, server.address);
    CHECK(done.outcome == Outcome::Connecting);
    CHECK(done.local.print_address() == client.print_address());
    CHECK(done.local.port() != client.port());
    CHECK(done.local.port() >= 1024);
    CHECK(seen_by(server) == done.local);
  }
  // The first connection was not affected by all that.
  CHECK(support::local_address(first.socket.get()) == at("192.0.2.7:40112"));
}

TEST_CASE("a client that comes again from the same port at once is served") {
  const Sources sources;
  const Routes routes;
  const auto server = support::listen_on("127.0.0.1");
  const WithoutRights none;
  TransparentSockets sockets(sources.borrowed);
  const auto client = at("192.0.2.9:40112");
  for (const bool server_first : {true, false}) {
    INFO((server_first ? "the server closes first" : "we close first"));
    for (int again = 0; again < 20; ++again) {
      auto done = net::connect_as(sockets, client, server.address);
      REQUIRE(done.outcome == Outcome::Connecting);
      REQUIRE(support::readable(server.fd.get(), 2000));
      auto peer = support::accept_one(server);
      CHECK(peer_of(peer) == done.local);
      CHECK(done.local.print_address() == client.print_address());
      auto& begins = server_first ? peer : done.socket;
      auto& follows = server_first ? done.socket : peer;
      shutdown(begins.get(), SHUT_WR);
      CHECK(support::readable(follows.get(), 2000));
      follows.reset();
    }
  }
}

TEST_CASE("no connection comes from any address but the client's") {
  const Sources sources;
  const auto server4 = support::listen_on("127.0.0.1");
  const auto server6 = support::listen_on("[::1]");
  const WithoutRights none;
  SECTION("a client that is on loopback, or has no address") {
    const Routes routes;
    TransparentSockets sockets(sources.borrowed);
    for (const auto* client : {"127.0.0.1:40112", "127.255.0.1:40112", "0.0.0.0:40112",
                               "[::1]:40112", "[::]:40112", "[::ffff:127.0.0.1]:40112"}) {
      INFO(client);
      const auto endpoint = at(client);
      const auto& server = endpoint.is_v4() ? server4 : server6;
      const auto done = net::connect_as(sockets, endpoint, server.address);
      CHECK(done.outcome == Outcome::NoClient);
      CHECK_FALSE(done.socket);
      CHECK_FALSE(seen_by(server, 0));
    }
  }
  SECTION("addresses that no client has") {
    const Routes routes;
    TransparentSockets sockets(sources.borrowed);
    for (const auto* client : {"255.255.255.255:40112", "224.0.0.1:40112", "240.0.0.1:40112",
                               "0.0.0.1:40112", "[ff02::1]:40112"}) {
      INFO(client);
      const auto endpoint = at(client);
      const auto& server = endpoint.is_v4() ? server4 : server6;
      const auto done = net::connect_as(sockets, endpoint, server.address);
      CHECK(done.outcome == Outcome::NoClient);
      CHECK_FALSE(seen_by(server, 0));
    }
  }
  SECTION("a network's broadcast address, for which the kernel connects from 127.0.0.1") {
    const Routes routes;
    TransparentSockets sockets(sources.borrowed);
    const auto done = net::connect_as(sockets, at("203.0.113.255:40112"), server4.address);
    CHECK(done.outcome == Outcome::NotBound);
    CHECK_FALSE(done.socket);
    // The connection that the server has seen is closed, and no byte was sent.
    if (support::readable(server4.fd.get(), 300)) {
      CHECK(support::read_to_end(support::accept_one(server4).get()).empty());
    }
  }
  SECTION("there is no way to the server") {
    const Routes routes;
    TransparentSockets sockets(sources.borrowed);
    const auto done = net::connect_as(sockets, at("192.0.2.7:40112"), at("198.51.100.77:25"));
    CHECK(done.outcome == Outcome::NotSent);
    CHECK(done.error == ENETUNREACH);
    CHECK_FALSE(done.socket);
  }
  SECTION("there is no source") {
    TransparentSockets sockets;
    const auto done = net::connect_as(sockets, at("192.0.2.7:40112"), server4.address);
    CHECK(done.outcome == Outcome::NoSocket);
    CHECK_FALSE(done.socket);
    CHECK_FALSE(seen_by(server4, 0));
  }
  SECTION("the source is not transparent") {
    const auto ordinary = support::listen_on("127.0.0.1");
    REQUIRE(fcntl(ordinary.fd.get(), F_SETFL, O_NONBLOCK) == 0);
    const int fd = ordinary.fd.get();
    TransparentSockets sockets({&fd, 1});
    const auto done = net::connect_as(sockets, at("192.0.2.7:40112"), server4.address);
    CHECK(done.outcome == Outcome::NoSocket);
    CHECK_FALSE(seen_by(server4, 0));
  }
  SECTION("the source has gone") {
    const int fd = sources.borrowed.front();
    TransparentSockets sockets({&fd, 1});
    shutdown(fd, SHUT_RDWR);
    int connected = 0;
    Outcome last = Outcome::Connecting;
    for (unsigned port = 40000; port < 40050; ++port) {
      const auto client = at("192.0.2.7:" + std::to_string(port));
      const auto done = net::connect_as(sockets, client, server4.address);
      last = done.outcome;
      connected += done.outcome == Outcome::Connecting ? 1 : 0;
    }
    CHECK(connected <= static_cast<int>(TransparentSockets::kMost));
    CHECK(last == Outcome::NoSocket);
  }
  SECTION("there is no route back") {
    TransparentSockets sockets(sources.borrowed);
    const auto done = net::connect_as(sockets, at("192.0.2.7:40112"), server4.address);
    CHECK_FALSE(seen_by(server4, 300));  // the handshake does not come to its end
    CHECK(done.local == at("192.0.2.7:40112"));
  }
}

TEST_CASE("a missing route back is found without the server") {
  const Sources sources;
  for (const auto& source : sources.fds) {
    CHECK_THAT(net::why_not_transparent(source),
               Catch::Contains("does not come back to this machine"));
    const Routes routes;
    CHECK(net::why_not_transparent(source).empty());
  }
  const auto ordinary = support::listen_on("127.0.0.1");
  REQUIRE(fcntl(ordinary.fd.get(), F_SETFL, O_NONBLOCK) == 0);
  CHECK_THAT(net::why_not_transparent(ordinary.fd), Catch::Contains("no socket"));
}

TEST_CASE("each way in which a connection can fail has a word of its own") {
  CHECK(net::word(Outcome::NoSocket) == "no socket");
  CHECK(net::word(Outcome::NoClient) == "client address");
  CHECK(net::word(Outcome::NotBound) == "bind");
  CHECK(net::word(Outcome::NotSent) == "connect");
  CHECK(net::word(Outcome::Connecting).empty());
}

TEST_CASE("the server of a family is on the loopback address of that family") {
  CHECK(net::loopback_of(at("127.0.0.1:25"), true) == at("127.0.0.1:25"));
  CHECK(net::loopback_of(at("127.0.0.2:25"), true) == at("127.0.0.2:25"));
  CHECK(net::loopback_of(at("127.0.0.2:25"), false) == at("[::1]:25"));
  CHECK(net::loopback_of(at("[::1]:2525"), true) == at("127.0.0.1:2525"));
}
