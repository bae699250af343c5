// Tests milter/proxy/upstream by whole sessions, in a network namespace of the test's own: what a
// server that plays Postfix sees of a client, and where the filter finds its messages.
#include "milter/proxy/upstream.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "milter/net/connect_as.h"
#include "milter/net/server_socket.h"
#include "milter/net/transparent_sockets.h"
#include "tests/support/own_network.h"
#include "tests/support/proxy_bed.h"

using namespace std::chrono_literals;
using net::Endpoint;
using support::kToData;
using support::ProxyBed;

namespace {

const std::string kNoUpstream = "421 4.3.2 Service not available, try again later\r\n";

Endpoint at(const std::string& text) {
  const auto endpoint = Endpoint::parse(text);
  REQUIRE(endpoint);
  return *endpoint;
}

void transparent(config::Config& settings) {
  settings.proxy.upstream_protocol = config::Proxy::Protocol::Transparent;
}

void behind_balancers(config::Config& settings) {
  transparent(settings);
  settings.proxy.balancers = {*net::Network::parse("127.0.0.0/8")};
}

// To a server that no route leads to.
void without_way(config::Config& settings) {
  transparent(settings);
  settings.proxy.upstream = at("198.51.100.77:25");
}

// The proxy listens on two addresses.
void with_two_addresses(config::Config& settings) {
  transparent(settings);
  settings.proxy.listen.push_back(at("127.0.0.2:0"));
}

// With 192.0.2.7 as a client's address, which a client here can really have.
struct Network {
  std::vector<net::Fd> sources;
  std::vector<int> borrowed;
  explicit Network(bool routed = true) : routed_(routed) {
    static const bool entered = [] {
      support::enter_own_network();
      support::shell("ip addr add 192.0.2.7/32 dev lo");
      support::shell("ip addr add 2001:db8::7/128 dev lo nodad");
      return true;
    }();
    REQUIRE(entered);
    if (routed_) support::set_transparent_routes("add");
    for (const bool v4 : {true, false}) {
      sources.push_back(net::open_transparent_source(v4, "source"));
      borrowed.push_back(sources.back().get());
    }
  }
  ~Network() {
    if (routed_) support::set_transparent_routes("del");
  }

 private:
  bool routed_;
};

net::Fd connect_from(const Endpoint& client, const Endpoint& to) {
  net::Fd fd = net::server_socket(client, "client");  // its address may be in use by the proxy too
  net::bind(fd, client, "client");
  sockaddr_storage storage;
  const socklen_t size = to.fill(storage);
  REQUIRE(fcntl(fd.get(), F_SETFL, 0) == 0);
  net::check(connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), size), "connect");
  support::no_delay(fd);
  return fd;
}

struct Served {
  net::Fd socket;
  Endpoint client;  // as the server sees it
};
Served serve(ProxyBed& bed) {
  bed.run();
  REQUIRE(support::readable(bed.server.fd.get()));
  Served served{support::accept_one(bed.server), {}};
  support::no_delay(served.socket);
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  net::check(getpeername(served.socket.get(), address, &size), "getpeername");
  served.client = *Endpoint::from(address);
  return served;
}

bool nobody_came(const ProxyBed& bed) {
  return !support::readable(bed.server.fd.get(), 50);
}

}  // namespace

TEST_CASE("Postfix sees the client's address and port, no header, and the filter asks by them") {
  const Network network;
  for (const auto* name : {"192.0.2.7:40112", "[2001:db8::7]:40112"}) {
    INFO(name);
    const auto client_name = at(name);
    const std::string host = client_name.is_v4() ? "127.0.0.1" : "[::1]";
    ProxyBed bed({.change = transparent, .host = host, .sources = network.borrowed});
    const auto client = connect_from(client_name, bed.address());
    bed.accept();
    const auto server = serve(bed);
    CHECK(server.client == client_name);
    bed.play(kToData, client, server.socket);
    bed.say(client, server.socket, support::kMessage);
    CHECK(
        support::observed(bed.table.find({.client = server.client, .server = bed.server.address})));
    // Neither Postfix nor its filter knows which address the client called.
    CHECK_FALSE(
        support::observed(bed.table.find({.client = client_name, .server = bed.address()})));
  }
}

TEST_CASE(
    "a client of the other address family is passed on to the loopback address of its family") {
  const Network network;
  // The setting names the IPv4 address of the port that the server has on [::1].
  const auto of_the_other_family = [](config::Config& settings) {
    transparent(settings);
    settings.proxy.upstream = net::loopback_of(*settings.proxy.upstream, true);
  };
  ProxyBed bed({.change = of_the_other_family, .host = "[::1]", .sources = network.borrowed});
  const auto client = connect_from(at("[2001:db8::7]:40112"), bed.address());
  bed.accept();
  CHECK(serve(bed).client == at("[2001:db8::7]:40112"));
}

TEST_CASE(
    "two sessions from one client port to two of the proxy's addresses each have their own label") {
  const Network network;
  ProxyBed bed({.change = with_two_addresses, .sources = network.borrowed});
  const auto client_name = at("192.0.2.7:40112");
  const auto first = connect_from(client_name, bed.address());
  bed.accept();
  const auto first_server = serve(bed);
  CHECK(first_server.client == client_name);
  // By the same port, to the other address.
  const int listener = bed.listeners[0][1].get();
  const auto second = connect_from(client_name, support::local_address(listener));
  bed.accept_at(listener);
  const auto second_server = serve(bed);
  CHECK(second_server.client.print_address() == "192.0.2.7");
  CHECK(second_server.client != client_name);
  CHECK(bed.counters.other_port == 1);
  bed.play(kToData, first, first_server.socket);
  bed.play(kToData, second, second_server.socket);
  const std::string longer = "Subject: another\r\n\r\nwith more text\r\n.\r\n";
  bed.say(first, first_server.socket, support::kMessage);
  bed.say(second, second_server.socket, longer);
  const auto size_of = [&](const Endpoint& client) {
    const auto found = bed.table.find({.client = client, .server = bed.server.address});
    REQUIRE(support::observed(found));
    return std::get<classifier::Trace>(found).size;
  };
  CHECK(size_of(second_server.client) - size_of(first_server.client) ==
        longer.size() - support::kMessage.size());
}

TEST_CASE("if no connection from the client's address can be made, the client is told 421") {
  const Network network;
  SECTION("a client on loopback") {
    ProxyBed bed({.change = transparent, .sources = network.borrowed});
    const auto client = bed.connect();
    CHECK(bed.read_to_end(client) == kNoUpstream);
    CHECK(bed.counters.transparent_no_client == 1);
    CHECK(nobody_came(bed));
  }
  SECTION("a balancer that names a client on loopback") {
    ProxyBed bed({.change = behind_balancers, .sources = network.borrowed});
    for (const auto* named : {"127.0.0.1:40112", "[::1]:40112", "0.0.0.0:40112"}) {
      INFO(named);
      const auto client = bed.connect();
      support::send_all(client.get(), net::proxy_v2(at(named), at("198.51.100.1:25")));
      CHECK(bed.read_to_end(client) == kNoUpstream);
      CHECK(nobody_came(bed));
    }
    CHECK(bed.counters.transparent_no_client == 3);
  }
  SECTION("a balancer that names a network's broadcast address") {
    support::shell("ip addr add 203.0.113.1/24 broadcast 203.0.113.255 dev lo");
    ProxyBed bed({.change = behind_balancers, .sources = network.borrowed});
    const auto client = bed.connect();
    support::send_all(client.get(),
                      net::proxy_v2(at("203.0.113.255:40112"), at("198.51.100.1:25")));
    CHECK(bed.read_to_end(client) == kNoUpstream);
    CHECK(bed.counters.transparent_not_bound == 1);
    support::shell("ip addr del 203.0.113.1/24 dev lo");
  }
  SECTION("there is no way to the server") {
    ProxyBed bed({.change = without_way, .sources = network.borrowed});
    const auto client = connect_from(at("192.0.2.7:40112"), bed.address());
    bed.accept();
    CHECK(bed.read_to_end(client) == kNoUpstream);
    CHECK(bed.counters.transparent_not_sent == 1);
    CHECK(nobody_came(bed));
  }
  SECTION("there are no sources") {
    ProxyBed bed({.change = transparent});
    const auto client = connect_from(at("192.0.2.7:40112"), bed.address());
    bed.accept();
    CHECK(bed.read_to_end(client) == kNoUpstream);
    CHECK(bed.counters.transparent_no_socket == 1);
    CHECK(bed.counters.upstream_failed == 1);
    CHECK(nobody_came(bed));
  }
  SECTION("the server is away, which does not count as a failure of the transparent sockets") {
    ProxyBed bed({.change = transparent, .sources = network.borrowed});
    bed.server.fd.reset();
    const auto client = connect_from(at("192.0.2.7:40112"), bed.address());
    bed.accept();
    CHECK(bed.read_to_end(client) == kNoUpstream);
    CHECK(bed.counters.upstream_failed == 1);
    CHECK(bed.counters.transparent_failures() == 0);
  }
}

TEST_CASE("without the routing rule the client is told 421 when the time to connect is over") {
  const Network network(/*routed=*/false);
  ProxyBed bed({.change = behind_balancers, .sources = network.borrowed});
  const auto client = bed.connect();
  // No machine here has this address, so only the rule could bring the answer back.
  support::send_all(client.get(), net::proxy_v2(at("192.0.2.99:40112"), at("198.51.100.1:25")));
  bed.run();
  bed.pass(bed.config().proxy.connect_timeout - 1s);
  CHECK(bed.silent(client));
  bed.pass(1s);
  CHECK(bed.read_to_end(client) == kNoUpstream);
  CHECK(bed.counters.transparent_not_sent == 1);
  CHECK(nobody_came(bed));
}

TEST_CASE("Postfix sees the client that a balancer names") {
  const Network network;
  ProxyBed bed({.change = behind_balancers, .sources = network.borrowed});
  const auto client = bed.connect();
  support::send_all(client.get(), net::proxy_v2(at("192.0.2.99:40112"), at("198.51.100.1:25")));
  CHECK(serve(bed).client == at("192.0.2.99:40112"));
}
