// Tests milter/proxy/session with a client and a server in one thread, and a clock that the test
// sets.
#include "milter/proxy/session.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "tests/support/proxy_bed.h"

using namespace std::chrono_literals;
using support::kDraining;
using support::kToData;
using support::ProxyBed;
using test::C;
using test::raw;
using test::raw_server;
using test::S;
using test::Script;

namespace {

const std::string kNoUpstream = "421 4.3.2 Service not available, try again later\r\n";
const std::string kTls = "\x16\x03\x03\x00\x01\x02";
const Script kStartTls = {S("220 mx"), C("EHLO a.example"), S("250 mx"), C("STARTTLS"),
                          S("220 go")};

void without_capture(config::Config& settings) {
  settings.capture.method = config::Capture::Method::Off;
}

// Makes every loopback address a balancer.
void behind_balancers(config::Config& settings) {
  settings.proxy.balancers = {*net::Network::parse("127.0.0.0/8")};
}

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");
const net::Endpoint kCalled = *net::Endpoint::parse("198.51.100.1:25");
constexpr char kLocalHeader[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const std::string kLocal(kLocalHeader, sizeof kLocalHeader - 1);

std::string noise(std::size_t size) {
  std::mt19937 random(1);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

}  // namespace

TEST_CASE("a client that resets closes the server's side too") {
  ProxyBed bed;
  auto client = bed.connect();
  auto server = bed.serve(client);
  bed.play({S("220 mx")}, client, server);
  support::reset_at_close(client);
  client.reset();
  CHECK(bed.read_to_end(server).empty());
  server.reset();
  bed.run();
  CHECK(bed.sessions() == 0);
}

TEST_CASE("each side may end while the other goes on") {
  ProxyBed bed;
  const auto client = bed.connect();
  auto server = bed.serve(client);
  bed.play({S("220 mx"), C("QUIT")}, client, server);
  shutdown(client.get(), SHUT_WR);
  CHECK(bed.read_to_end(server).empty());
  bed.say(server, client, "221 bye\r\n");
  CHECK(bed.sessions() == 1);
  server.reset();
  CHECK(bed.read_to_end(client).empty());
  CHECK(bed.sessions() == 0);
}

TEST_CASE("a client that stays after its server has ended is closed half a minute later") {
  ProxyBed bed;
  const auto client = bed.connect();
  auto server = bed.serve(client);
  bed.play({S("220 mx"), C("QUIT"), S("221 bye")}, client, server);
  server.reset();
  CHECK(bed.read_to_end(client).empty());
  bed.pass(29s);
  CHECK(bed.sessions() == 1);
  bed.pass(1s);
  CHECK(bed.sessions() == 0);
}

TEST_CASE("without a server the client gets 421 and an orderly close") {
  ProxyBed bed;
  bed.server.fd.reset();
  auto client = bed.connect();
  CHECK(bed.read_to_end(client) == kNoUpstream);
  CHECK(bed.counters.upstream_failed == 1);
  SECTION("and leaves") {
    client.reset();
    bed.run();
    CHECK(bed.sessions() == 0);
  }
  SECTION("or is closed in time, if it stays and sends a byte now and then") {
    for (int second = 0; second < 4; ++second) {
      support::send_all(client.get(), "N");
      bed.pass(1s);
      CHECK(bed.sessions() == 1);  // the client has time to read the 421
    }
    support::send_all(client.get(), "N");
    bed.pass(1s);
    CHECK(bed.sessions() == 0);
  }
}

TEST_CASE("a server that closes without a greeting counts as no server") {
  ProxyBed bed;
  const auto client = bed.connect();
  bed.serve(client).reset();
  CHECK(bed.read_to_end(client) == kNoUpstream);
}

TEST_CASE("a client that spoke first gets nothing that the server did not send") {
  ProxyBed bed;
  const auto client = bed.connect();
  auto server = bed.serve(client);
  bed.play({C("EHLO client.example")}, client, server);
  server.reset();
  CHECK(bed.read_to_end(client).empty());
}

TEST_CASE("an idle session is closed") {
  const struct {
    const char* after;
    Script said;
  } rows[] = {
      {"the greeting", {S("220 mx")}},
      {"an answer", {S("220 mx"), C("EHLO client.example"), S("250 mx")}},
      {"the answers to commands in a row",
       {S("220 mx"), raw("RSET\r\nNOOP\r\n"), S("250 ok"), S("250 ok")}},
      {"the server's go for a message", kToData},
  };
  for (const auto& row : rows) {
    INFO(row.after);
    ProxyBed bed;
    const auto client = bed.connect();
    const auto server = bed.serve(client);
    bed.play(row.said, client, server);
    bed.pass(bed.config().proxy.idle_timeout - 1s);
    CHECK(bed.silent(client));
    bed.pass(1s);
    CHECK(bed.read_to_end(client).empty());
    CHECK(bed.read_to_end(server).empty());
    CHECK(bed.counters.unanswered == 0);
  }
}

TEST_CASE("a session in which the server may owe an answer is not idle") {
  const struct {
    const char* owed;
    Script said;
  } rows[] = {
      {"the greeting", {}},
      {"a command's", {S("220 mx"), C("EHLO client.example")}},
      {"a message's", kToData + Script{raw("text\r\n.\r\n")}},
      {"that of a part of a message", kToData + Script{raw("text\r\n")}},
      {"that to the last of three commands in a row",
       {S("220 mx"), raw("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nBDAT 6 LAST\r\ntext\r\n"),
        S("250 ok"), S("250 ok")}},
      {"that to what was asked under TLS, perhaps",
       kStartTls + Script{raw(kTls), raw_server(kTls)}},
      {"where it cannot be known", {S("220 mx"), C("NOOP"), S("250 ok"), S("250 ok")}},
  };
  for (const auto& row : rows) {
    INFO(row.owed);
    ProxyBed bed;
    const auto client = bed.connect();
    const auto server = bed.serve(client);
    bed.play(row.said, client, server);
    bed.pass(bed.config().proxy.answer_timeout - 1s);
    bed.say(server, client, "250 at last\r\n");
  }
}

TEST_CASE("without an observer an answer is waited for as well, but not without limit") {
  CHECK(config::Proxy{}.answer_timeout > config::Proxy{}.idle_timeout);
  ProxyBed bed({.change = without_capture});
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.play(kToData + Script{raw("text\r\n.\r\n")}, client, server);
  bed.pass(bed.config().proxy.answer_timeout - 1s);
  bed.say(server, client, "250 queued\r\n");
  // It cannot be known that this was all, so the longer limit ends the session.
  bed.pass(bed.config().proxy.answer_timeout - 1s);
  CHECK(bed.silent(client));
  bed.pass(1s);
  CHECK(bed.read_to_end(client).empty());
  CHECK(bed.counters.unanswered == 1);
}

TEST_CASE("a session with a byte now and then is not idle") {
  CHECK(config::Proxy{}.idle_timeout > 300s);  // Postfix's smtpd_timeout
  ProxyBed bed;
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  const auto& limits = bed.config().proxy;
  for (int i = 0; i < 4; ++i) {
    bed.say(client, server, "N");
    bed.pass(limits.answer_timeout - 1s);
  }
  CHECK(bed.silent(server));
  bed.pass(1s);
  CHECK(bed.read_to_end(server).empty());
}

TEST_CASE("a draining session lets an open transaction finish") {
  ProxyBed bed;
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.play(kToData, client, server);
  bed.drain();
  bed.say(client, server, support::kMessage);
  support::send_all(server.get(), "250 queued\r\n");
  CHECK(bed.read_to_end(client) == "250 queued\r\n" + kDraining);
  CHECK(bed.read_to_end(server).empty());
  CHECK(bed.counters.drained == 1);
}

TEST_CASE("a draining session asks its client to leave between two transactions") {
  ProxyBed bed;
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.play({S("220 mx")}, client, server);
  SECTION("at once") {
    bed.drain();
    CHECK(bed.read_to_end(client) == kDraining);
  }
  SECTION("once its commands are answered") {
    bed.play({C("EHLO client.example")}, client, server);
    bed.drain();
    CHECK(bed.silent(client));
    support::send_all(server.get(), "250 mx\r\n");
    CHECK(bed.read_to_end(client) == "250 mx\r\n" + kDraining);
  }
  CHECK(bed.read_to_end(server).empty());
}

TEST_CASE("a draining session under TLS is left alone, because transactions are not visible") {
  ProxyBed bed;
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.play(kStartTls, client, server);
  bed.drain();
  bed.pass(60s);
  CHECK(bed.silent(client));
  bed.say(client, server, kTls);
}

TEST_CASE(
    "when the time to drain is over, a session that is owed the answer to a message goes on") {
  const Script mail = {S("220 mx"), raw("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n"),
                       S("250 ok"), S("250 ok")};
  const auto pipelined = [](const std::string& rest) {
    return Script{S("220 mx"), raw("MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n" + rest),
                  S("250 ok"), S("250 ok")};
  };
  const struct {
    const char* name;
    Script said;
    bool owed;
  } rows[] = {
      {"a message", kToData + Script{raw("x\r\n.\r\n")}, true},
      {"a chunk in a row", pipelined("BDAT 3 LAST\r\nx\r\n"), true},
      {"text before 354", pipelined("DATA\r\nx\r\n.\r\n"), true},
      {"perhaps, under TLS", kStartTls + Script{raw(kTls), raw_server(kTls), raw(kTls)}, true},
      {"part of a message", kToData + Script{raw("x\r\n")}, false},
      {"part of a chunk", pipelined("BDAT 9 LAST\r\nx\r\n"), false},
      {"a command", mail + Script{C("RSET")}, false},
      {"a transaction", mail, false},
      {"nothing, under TLS", kStartTls + Script{raw(kTls), raw_server(kTls)}, false},
      {"the greeting", {}, false},
  };
  for (const auto& row : rows) {
    INFO(row.name);
    ProxyBed bed;
    const auto client = bed.connect();
    const auto server = bed.serve(client);
    bed.play(row.said, client, server);
    bed.drain();
    CHECK(bed.silent(client));
    bed.close_sessions();
    if (row.owed) {
      CHECK(bed.silent(client));
      support::send_all(server.get(), "250 at last\r\n");
      CHECK(bed.read_to_end(client).starts_with("250 at last\r\n"));
    } else {
      CHECK(bed.read_to_end(client).empty());
    }
    CHECK(bed.read_to_end(server).empty());
  }
}

TEST_CASE("without an observer, an answer counts as owed if the client spoke last") {
  ProxyBed bed({.change = without_capture});
  const auto owed = bed.connect();
  const auto owing = bed.serve(owed);
  bed.play(kToData + Script{raw("text\r\n.\r\n")}, owed, owing);
  const auto idle = bed.connect();
  const auto greeter = bed.serve(idle);
  bed.play({S("220 mx")}, idle, greeter);
  bed.close_sessions();
  CHECK(bed.read_to_end(idle).empty());
  CHECK(bed.silent(owed));
  support::send_all(owing.get(), "250 queued\r\n");
  CHECK(bed.read_to_end(owed) == "250 queued\r\n");
}

TEST_CASE("while a server takes nothing, the session does not spin, and then the server gets all") {
  ProxyBed bed;
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  const auto sent = noise(20'000'000);  // more than the buffers hold
  std::size_t at = 0;
  const auto send_more = [&] {
    const ssize_t took = send(client.get(), sent.data() + at, sent.size() - at, MSG_DONTWAIT);
    if (took > 0) at += static_cast<std::size_t>(took);
    return took > 0;
  };
  do {
    bed.run();
  } while (send_more());
  REQUIRE(at < sent.size());
  const auto before = bed.dispatched();
  constexpr int kTurns = 1000;
  for (int turn = 0; turn < kTurns; ++turn) bed.run();
  bed.pass(2s);
  // A session that spins is served in every turn. The kernel may deliver late, or still find a
  // little room.
  CHECK(bed.dispatched() - before < kTurns / 10);
  std::string got;
  while (got.size() < sent.size()) {
    got +=
        bed.read(server, 1 << 16 < sent.size() - got.size() ? 1 << 16 : sent.size() - got.size());
    send_more();
  }
  CHECK(got == sent);
}

TEST_CASE("the client is the one that a balancer's header names, in whatever pieces it comes") {
  const bool v1 = GENERATE(true, false);
  const std::size_t piece = GENERATE(1, 7, 1000);
  const bool early = GENERATE(true, false);  // the first bytes come with the header
  INFO(v1 << ' ' << piece << ' ' << early);
  ProxyBed bed({.change = behind_balancers});
  const auto balancer = bed.connect();
  auto bytes = v1 ? net::proxy_v1(kClient, kCalled) : net::proxy_v2(kClient, kCalled);
  const std::string greeting = early ? "EHLO client.example\r\n" : "";
  bytes += greeting;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    support::send_all(balancer.get(), bytes.substr(at, piece));
    bed.run();
  }
  const auto server = bed.serve(kClient, kCalled);
  CHECK(bed.read(server, greeting.size()) == greeting);
  bed.play({S("220 mx ESMTP"), C("QUIT")}, balancer, server);
  // These are not the client's own segments, and the settings do not say that they are.
  CHECK(support::reason(bed.table.find({.client = kClient})) == classifier::Reason::Balancer);
}

TEST_CASE("a balancer without a valid header is closed, and Postfix does not see it") {
  const auto v2 = net::proxy_v2(kClient, kCalled);
  const std::string longest = v2.substr(0, 14) + "\xff\xff" + std::string(60000, 'x');
  const struct {
    const char* what;
    std::string bytes;
    bool ends = false;   // it closes its side and does not wait
    bool stays = false;  // it stays until the timeout
  } rows[] = {
      {"SMTP", "EHLO client.example\r\n"},
      {"a line without end", "PROXY " + std::string(200, 'x')},
      {"64 KB", longest},
      {"half a header, and it goes", v2.substr(0, 20), true},
      {"half a header, and it stays", v2.substr(0, 20), false, true},
      {"nothing", "", false, true},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    ProxyBed bed({.change = behind_balancers});
    const auto balancer = bed.connect();
    // The proxy may close before it has read everything. That is no error of this test.
    (void)::send(balancer.get(), row.bytes.data(), row.bytes.size(), MSG_NOSIGNAL);
    if (row.ends) shutdown(balancer.get(), SHUT_WR);
    bed.run();
    if (row.stays) {
      bed.pass(bed.config().proxy.balancer_timeout - 1s);
      CHECK(bed.silent(balancer));
      bed.pass(1s);
    }
    CHECK(bed.read(balancer, 1).empty());  // an end or a reset, but no reply
    CHECK(bed.counters.proxy_headers_refused == 1);
    CHECK_FALSE(support::readable(bed.server.fd.get(), 0));
    CHECK(bed.sessions() == 0);
    CHECK(bed.process.admission.sessions() == 0);  // its place is free again
  }
}

TEST_CASE("of a balancer's health checks Postfix sees only those that wait for it") {
  ProxyBed bed({.change = behind_balancers});
  SECTION("one that connects and closes") {
    bed.connect().reset();
    bed.run();
    CHECK_FALSE(support::readable(bed.server.fd.get(), 0));
    CHECK(bed.sessions() == 0);
  }
  SECTION("one that says LOCAL and closes") {
    const bool reset = GENERATE(true, false);
    auto check = bed.connect();
    support::send_all(check.get(), kLocal);
    if (reset) support::reset_at_close(check);
    check.reset();
    bed.run();
    CHECK_FALSE(support::readable(bed.server.fd.get(), 0));
    CHECK(bed.sessions() == 0);
  }
  SECTION("one that says LOCAL and waits for the greeting is a client with its own address") {
    const bool early = GENERATE(true, false);
    auto check = bed.connect();
    support::send_all(check.get(), early ? kLocal + "EHLO x\r\n" : kLocal);
    const auto server = bed.serve(check);
    if (early) CHECK(bed.read(server, 8) == "EHLO x\r\n");
    bed.play({S("220 mx"), C("QUIT")}, check, server);
    check.reset();
    CHECK(bed.read_to_end(server).empty());
  }
  SECTION("the same in version 1") {
    auto check = bed.connect();
    support::send_all(check.get(), "PROXY UNKNOWN\r\n");
    const auto server = bed.serve(check);
    bed.play({S("220 mx")}, check, server);
    check.reset();
    CHECK(bed.read_to_end(server).empty());
  }
  CHECK(bed.counters.proxy_headers_refused == 0);
}

TEST_CASE("a PROXY header from a client that is no balancer is relayed like other bytes") {
  ProxyBed bed({.change = [](config::Config& c) {
    c.proxy.balancers = {*net::Network::parse("127.0.0.2"), *net::Network::parse("10.0.0.0/8")};
  }});
  const auto client = bed.connect();
  const auto server = bed.serve(client);
  bed.say(client, server, net::proxy_v2(kClient, kCalled));
  bed.say(client, server, net::proxy_v1(kClient, kCalled));
}
