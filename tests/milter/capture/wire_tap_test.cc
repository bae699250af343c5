// Tests milter/capture/wire_tap against the real kernel, over loopback. Needs the right to load a
// program and to open a packet socket; without it the tests fail and say why.
#include "milter/capture/wire_tap.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "milter/tcp/flags.h"
#include "tests/support/forged.h"
#include "tests/support/loopback.h"
#include "tests/support/tls_stream.h"

using capture::WirePacket;

namespace {

// A packet, with copies of the bytes that its spans refer to.
struct Kept {
  WirePacket packet;
  std::string head, tail;
  std::vector<capture::WireRecord> records;
};

struct Collected final : capture::WireTap::Sink {
  std::vector<Kept> all;
  void packet(const WirePacket& packet) override {
    all.push_back({packet,
                   {packet.head.begin(), packet.head.end()},
                   {packet.tail.begin(), packet.tail.end()},
                   {packet.records.begin(), packet.records.end()}});
  }
  // Packets with payload.
  std::vector<Kept> said(bool by_server) const {
    std::vector<Kept> kept;
    for (const Kept& one : all) {
      const bool payload = one.packet.size != 0 && (one.packet.tcp_flags & tcp::kSyn) == 0;
      if (payload && !one.packet.note && one.packet.from_server == by_server) kept.push_back(one);
    }
    return kept;
  }
};

struct Pair {
  support::Listener listener = support::listen_on();
  capture::WireTap tap{{.ports = {listener.address.port()}, .interface = "lo"}};
  net::Fd client = support::connect_to(listener.address);
  net::Fd server = support::accept_one(listener);
  Collected seen;

  Pair() {
    const int on = 1;
    setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  void client_says(std::string_view bytes) {
    support::send_all(client.get(), bytes);
    REQUIRE(support::read_exactly(server.get(), bytes.size()) == bytes);
  }
  void server_says(std::string_view bytes) {
    support::send_all(server.get(), bytes);
    REQUIRE(support::read_exactly(client.get(), bytes.size()) == bytes);
  }
  void look() { tap.drain(seen); }
};

}  // namespace

TEST_CASE("handshake, commands and replies are passed, each packet once") {
  Pair pair;
  pair.server_says("220 mx\r\n");
  pair.client_says("EHLO client.example\r\n");
  pair.look();
  REQUIRE(pair.seen.all.size() == 5);  // SYN, SYN-ACK, ACK, a command and a reply
  const auto& syn = pair.seen.all[0].packet;
  CHECK(syn.tcp_flags == tcp::kSyn);
  CHECK(pair.seen.all[0].head.size() >= 40);
  CHECK(syn.client == support::local_address(pair.client.get()));
  CHECK(syn.server == pair.listener.address);
  CHECK(pair.seen.all[1].packet.from_server);
  CHECK(pair.seen.all[3].head == "220 mx\r\n");
  CHECK(pair.seen.all[4].head == "EHLO client.example\r\n");
  CHECK(pair.seen.all[4].packet.seq == syn.seq + 1);
  CHECK(pair.tap.dropped() == 0);
}

TEST_CASE("in a message only the ends of each packet are passed") {
  Pair pair;
  pair.client_says("DATA\r\n");
  pair.server_says("250 Ok\r\n354 End data\r\n");
  const std::string text = std::string(100, 'a') + "secret" + std::string(100, 'b') + "\r\n.\r\n";
  pair.client_says(text);
  pair.server_says("250 Ok\r\n");
  pair.client_says("MAIL FROM:<somebody@example.org> SIZE=1234\r\n");
  pair.look();
  const auto said = pair.seen.said(false);
  REQUIRE(said.size() == 3);
  CHECK(said[1].packet.size == text.size());
  CHECK(said[1].head == text.substr(0, 32));
  CHECK(said[1].tail == text.substr(text.size() - 16));
  CHECK(said[2].head.size() == said[2].packet.size);
}

TEST_CASE("under TLS the headers of records are passed, also one that is cut by a packet's end") {
  const support::Tls13 tls;
  Pair pair;
  pair.client_says(tls.client_hello());
  pair.server_says(tls.server_flight());
  pair.client_says(tls.plain(8000));  // more than the bytes that are passed whole for a hello
  const std::string records = tls.plain({40, 50, 60});
  const std::size_t cut = 5 + 57 + 3;  // within the second header
  pair.client_says(records.substr(0, cut));
  pair.client_says(records.substr(cut));
  pair.look();
  const auto said = pair.seen.said(false);
  REQUIRE(said.size() >= 4);
  const auto& first = said[said.size() - 2];
  const auto& second = said.back();
  REQUIRE(first.records.size() == 1);
  CHECK(first.records[0].length == 57);
  REQUIRE(second.records.size() == 2);
  CHECK(second.records[0].at == -3);
  CHECK(second.records[0].length == 67);
  CHECK(second.records[1].at == 2 + 67);
  CHECK(second.records[1].length == 77);
  CHECK(second.head.size() == 32);
}

TEST_CASE("hundreds of records in one packet come as notes before it") {
  const support::Tls13 tls;
  Pair pair;
  pair.client_says(tls.client_hello());
  pair.server_says(tls.server_flight());
  pair.client_says(tls.plain(8000));
  std::string records;
  for (int i = 0; i < 300; ++i) records += tls.plain(30);
  pair.client_says(records);
  pair.look();
  std::size_t count = 0;
  for (const auto& one : pair.seen.all) {
    for (const auto& record : one.records) count += record.length == 47;
  }
  CHECK(count == 300);
}

TEST_CASE("other ports and this machine's own connections to other servers are not passed") {
  const auto other = support::listen_on();
  Pair pair;
  pair.look();
  pair.seen.all.clear();
  const net::Fd stranger = support::connect_to(other.address);
  const net::Fd accepted = support::accept_one(other);
  support::send_all(stranger.get(), "EHLO stranger\r\n");
  REQUIRE(support::read_exactly(accepted.get(), 15).size() == 15);
  pair.look();
  CHECK(pair.seen.all.empty());
}

TEST_CASE("a client's packets are passed if they agree with the server's numbers") {
  Pair pair;
  pair.server_says("220 mx\r\n");
  pair.client_says("EHLO client.example\r\n");
  pair.look();
  const auto said = pair.seen.said(false);
  REQUIRE(said.size() == 1);
  CHECK(said[0].packet.taken == said[0].packet.seq);
  const std::uint32_t seq = said[0].packet.seq + 21;
  const std::uint32_t ack = said[0].packet.ack;
  struct Row {
    const char* label;
    std::uint32_t seq, ack;
    bool passed;
  };
  const Row rows[] = {
      {"in its place", seq, ack, true},
      {"a little ahead", seq + (1U << 20), ack, true},
      {"far ahead", seq + (17U << 20), ack, false},
      {"far before", seq - (17U << 20), ack, false},
      {"acknowledges less", seq, ack - 8, true},
      {"acknowledges what was not said", seq, ack + 1, false},
      {"acknowledges what was said long ago", seq, ack - (2U << 20), false},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    pair.seen.all.clear();
    support::forge(support::local_address(pair.client.get()), pair.listener.address,
                   {.seq = row.seq, .ack = row.ack});
    pair.look();
    CHECK(pair.seen.said(false).size() == (row.passed ? 1 : 0));
  }
}

TEST_CASE("a stranger's SYN is passed, and the connection continues as before") {
  Pair pair;
  pair.client_says("DATA\r\n");
  pair.server_says("354 End data\r\n");
  pair.client_says(std::string(50, 'a'));
  support::forge(support::local_address(pair.client.get()), pair.listener.address,
                 {.seq = 4711, .syn = true});
  pair.client_says(std::string(50, 'b'));
  pair.look();
  const auto said = pair.seen.said(false);
  REQUIRE(said.size() == 3);
  CHECK(said[1].head.size() == 32);
  CHECK(said[2].head.size() == 32);  // still in the message
}

TEST_CASE("a connection that began earlier is not passed") {
  const auto listener = support::listen_on();
  const net::Fd client = support::connect_to(listener.address);
  const net::Fd server = support::accept_one(listener);
  capture::WireTap tap({.ports = {listener.address.port()}, .interface = "lo"});
  support::send_all(client.get(), "EHLO early\r\n");
  REQUIRE(support::read_exactly(server.get(), 12).size() == 12);
  Collected seen;
  tap.drain(seen);
  CHECK(seen.all.empty());
}

TEST_CASE("events that do not fit into a full ring are counted") {
  const auto listener = support::listen_on();
  capture::WireTap tap({.ports = {listener.address.port()}, .interface = "lo", .ring_bytes = 4096});
  const net::Fd client = support::connect_to(listener.address);
  const net::Fd server = support::accept_one(listener);
  for (int i = 0; i < 20; ++i) {
    support::send_all(client.get(), "NOOP\r\n");
    REQUIRE(support::read_exactly(server.get(), 6).size() == 6);
  }
  CHECK(tap.dropped() > 0);
  const net::Endpoint address = support::local_address(client.get());
  CHECK(tap.missed(address));
  CHECK_FALSE(tap.missed(*net::Endpoint::parse("192.0.2.7:40112")));
  tap.mark();
  CHECK(tap.missed(address));
  tap.mark();
  CHECK_FALSE(tap.missed(address));
}

TEST_CASE("a flood of SYNs evicts no connection that is followed") {
  const auto listener = support::listen_on();
  capture::WireTap tap({.ports = {listener.address.port()}, .interface = "lo", .max_flows = 256});
  const net::Fd client = support::connect_to(listener.address);
  const net::Fd server = support::accept_one(listener);
  for (int port = 10'001; port <= 12'000; ++port) {
    support::forge(*net::Endpoint::parse("127.0.0.1:" + std::to_string(port)), listener.address,
                   {.seq = 4711, .syn = true});
  }
  Collected seen;
  tap.drain(seen);
  seen.all.clear();
  support::send_all(client.get(), "EHLO client.example\r\n");
  REQUIRE(support::read_exactly(server.get(), 21).size() == 21);
  tap.drain(seen);
  CHECK(seen.said(false).size() == 1);
}

TEST_CASE("a missing interface is reported by its name") {
  CHECK_THROWS_WITH(capture::WireTap({.interface = "nosuch0"}),
                    Catch::Contains("wire.interface: nosuch0"));
}
