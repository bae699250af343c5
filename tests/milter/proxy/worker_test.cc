// Tests milter/proxy/{worker,session} over real loopback connections: a client, the proxy, a server
// that plays Postfix. The kernel filter is in the path where the machine allows it.
#include "milter/proxy/worker.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <variant>

#include "milter/net/proxy_protocol.h"
#include "tests/support/loopback.h"

using namespace std::chrono_literals;

namespace {

// A proxy with one worker in front of a listener that the test serves.
struct Bed {
  support::Listener server;
  config::Config settings;
  std::vector<std::vector<net::Fd>> listeners;
  std::unique_ptr<capture::KernelFilter> filter;
  evidence::Table table{100, std::chrono::seconds(60)};
  std::optional<proxy::Shared> shared;
  std::optional<proxy::Worker> worker;
  net::Endpoint address;

  explicit Bed(const std::string& host = "127.0.0.1", bool with_kernel = false,
               void (*change)(config::Config&) = nullptr)
      : server(support::listen_on(host)) {
    settings.proxy.listen = {*net::Endpoint::parse(host + ":0")};
    settings.proxy.upstream = server.address;
    settings.proxy.workers = 1;
    if (change != nullptr) change(settings);
    listeners = proxy::open_listeners(settings.proxy);
    address = support::local_address(listeners[0][0].get());
    if (with_kernel) {
      filter = capture::KernelFilter::load(1 << 16);
      filter->attach(listeners[0][0].get());
    }
    shared.emplace(std::make_shared<const config::Config>(settings), table);
    worker.emplace(*shared, proxy::WorkerInput{{listeners[0][0].get()}, filter.get()});
    worker->start();
  }

  // The server's end of a new session, its PROXY header read and checked.
  net::Fd accept_session(const net::Fd& client) {
    auto peer = support::accept_one(server);
    const auto header = net::proxy_v2(support::local_address(client.get()), address);
    REQUIRE(support::read_exactly(peer.get(), header.size()) == header);
    return peer;
  }
};

std::string noise(std::size_t size) {
  std::mt19937 random(1);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// A session in words: the client says a line, the server answers it.
void say(const net::Fd& from, const net::Fd& to, std::string_view line) {
  support::send_all(from.get(), line);
  REQUIRE(support::read_exactly(to.get(), line.size()) == line);
}

// All that comes before a message.
void talk_to_data(const net::Fd& client, const net::Fd& server) {
  say(server, client, "220 mx ESMTP\r\n");
  for (const char* command :
       {"EHLO client.example\r\n", "MAIL FROM:<a@example>\r\n", "RCPT TO:<b@example>\r\n"}) {
    say(client, server, command);
    say(server, client, "250 ok\r\n");
  }
  say(client, server, "DATA\r\n");
  say(server, client, "354 go on\r\n");
}

const std::string kDraining = "421 4.3.2 Service is being restarted, try again later\r\n";

void no_delay(const net::Fd& fd) {
  const int on = 1;
  setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

}  // namespace

TEST_CASE("bytes pass both ways at once, unchanged, and ends pass on their own") {
  for (const char* host : {"127.0.0.1", "[::1]"}) {
    INFO(host);
    Bed bed(host);
    auto client = support::connect_to(bed.address);
    auto server = bed.accept_session(client);
    const auto up = noise(3'000'000);
    const auto down = noise(2'000'000);
    std::thread sends_up([&] {
      support::send_all(client.get(), up);
      shutdown(client.get(), SHUT_WR);
    });
    std::thread sends_down([&] { support::send_all(server.get(), down); });
    std::string got_down;
    std::thread reads_down([&] { got_down = support::read_exactly(client.get(), down.size()); });
    const auto got_up = support::read_to_end(server.get());
    sends_up.join();
    sends_down.join();
    reads_down.join();
    CHECK(got_up == up);
    CHECK(got_down == down);
    // The client has ended; the server may still speak.
    support::send_all(server.get(), "221 bye\r\n");
    server.reset();
    CHECK(support::read_to_end(client.get()) == "221 bye\r\n");
    client.reset();
    CHECK(eventually([&] { return bed.worker->sessions() == 0; }));
  }
}

TEST_CASE("a client that resets closes the server's side too") {
  Bed bed;
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  say(server, client, "220 mx\r\n");
  const linger now{1, 0};
  setsockopt(client.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  client.reset();
  CHECK(support::read_to_end(server.get()).empty());
  server.reset();
  CHECK(eventually([&] { return bed.worker->sessions() == 0; }));
}

TEST_CASE("without a server the client hears 421 and an orderly close") {
  Bed bed;
  bed.server.fd.reset();
  auto client = support::connect_to(bed.address);
  CHECK(support::read_to_end(client.get()) ==
        "421 4.3.2 Service not available, try again later\r\n");
  client.reset();
  CHECK(eventually([&] { return bed.worker->sessions() == 0; }));
}

TEST_CASE("a server that closes without a word is no server") {
  Bed bed;
  auto client = support::connect_to(bed.address);
  bed.accept_session(client).reset();
  CHECK(support::read_to_end(client.get()) ==
        "421 4.3.2 Service not available, try again later\r\n");
}

TEST_CASE("a client that spoke first is told nothing that the server did not say") {
  Bed bed;
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  say(client, server, "EHLO client.example\r\n");
  server.reset();
  CHECK(support::read_to_end(client.get()).empty());
}

TEST_CASE("limits answer 421 and let the sessions that are there go on") {
  SECTION("of one address") {
    Bed bed("127.0.0.1", false, [](config::Config& c) { c.proxy.max_sessions_per_address = 1; });
    auto first = support::connect_to(bed.address);
    auto server = bed.accept_session(first);
    auto second = support::connect_to(bed.address);
    CHECK(support::read_to_end(second.get()) ==
          "421 4.7.0 Too many connections from your address\r\n");
    say(server, first, "220 mx\r\n");
  }
  SECTION("of all") {
    Bed bed("127.0.0.1", false, [](config::Config& c) { c.proxy.max_sessions = 1; });
    auto first = support::connect_to(bed.address);
    auto server = bed.accept_session(first);
    auto second = support::connect_to(bed.address);
    CHECK(support::read_to_end(second.get()) ==
          "421 4.3.2 Too many connections, try again later\r\n");
    first.reset();
    CHECK(support::read_to_end(server.get()).empty());
    server.reset();
    REQUIRE(eventually([&] { return bed.worker->sessions() == 0; }));
    auto third = support::connect_to(bed.address);
    bed.accept_session(third);
  }
}

TEST_CASE("an idle session is closed") {
  Bed bed("127.0.0.1", false,
          [](config::Config& c) { c.proxy.idle_timeout = std::chrono::seconds(1); });
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  CHECK(support::read_to_end(client.get()).empty());
  CHECK(support::read_to_end(server.get()).empty());
}

TEST_CASE("a draining worker takes nobody new, and lets an open transaction come to its end") {
  Bed bed;
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  talk_to_data(client, server);
  bed.worker->drain();
  std::this_thread::sleep_for(50ms);
  auto waiting = support::connect_to(bed.address);  // in the backlog, for the next process
  CHECK_FALSE(support::readable(bed.server.fd.get(), 200));
  say(client, server, "Subject: x\r\n\r\ntext\r\n.\r\n");
  const std::string answer = "250 queued\r\n";
  support::send_all(server.get(), answer);
  CHECK(support::read_to_end(client.get()) == answer + kDraining);
  CHECK(support::read_to_end(server.get()).empty());
}

TEST_CASE("a worker whose kernel filter is another's carries its sessions to their end, unseen") {
  Bed bed("127.0.0.1", true);
  auto client = support::connect_to(bed.address);
  no_delay(client);
  auto server = bed.accept_session(client);
  const auto self = support::local_address(client.get());
  talk_to_data(client, server);
  bed.worker->hand_over();
  say(client, server, "Subject: x\r\n\r\ntext\r\n.\r\n");
  const auto found = bed.table.find(self, 0);
  REQUIRE(std::holds_alternative<classifier::Trace>(found));
  CHECK(std::get<classifier::Trace>(found).state == classifier::State::Partial);
  support::send_all(server.get(), std::string("250 queued\r\n"));
  CHECK(support::read_to_end(client.get()) == "250 queued\r\n" + kDraining);
}

TEST_CASE("a draining worker asks those to go that are between two transactions") {
  Bed bed;
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  say(server, client, "220 mx\r\n");
  SECTION("at once") {
    std::this_thread::sleep_for(50ms);
    bed.worker->drain();
    CHECK(support::read_to_end(client.get()) == kDraining);
  }
  SECTION("once what was asked is answered") {
    say(client, server, "EHLO client.example\r\n");
    bed.worker->drain();
    CHECK_FALSE(support::readable(client.get(), 100));
    support::send_all(server.get(), "250 mx\r\n");
    CHECK(support::read_to_end(client.get()) == "250 mx\r\n" + kDraining);
  }
  CHECK(support::read_to_end(server.get()).empty());
}

TEST_CASE("a draining worker leaves alone what it cannot tell about: TLS") {
  Bed bed;
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  say(server, client, "220 mx\r\n");
  say(client, server, "EHLO client.example\r\n");
  say(server, client, "250 mx\r\n");
  say(client, server, "STARTTLS\r\n");
  say(server, client, "220 go\r\n");
  bed.worker->drain();
  CHECK_FALSE(support::readable(client.get(), 200));
  say(client, server, std::string("\x16\x03\x01\x00\x01\x01", 6));
}

TEST_CASE(
    "evidence of a message is in the table before Postfix has its last byte, and goes with the "
    "answer") {
  const bool kernel = GENERATE(true, false);
  INFO((kernel ? "kernel filter" : "reads"));
  Bed bed("127.0.0.1", kernel);
  auto client = support::connect_to(bed.address);
  no_delay(client);
  auto server = bed.accept_session(client);
  const auto self = support::local_address(client.get());
  talk_to_data(client, server);
  CHECK(std::get<classifier::Reason>(bed.table.find(self, 0)) == classifier::Reason::NoSession);
  say(client, server, "Subject: hello\r\n\r\n");
  say(client, server, "text\r\n.\r\n");
  const auto found = bed.table.find(self, 0);
  REQUIRE(std::holds_alternative<classifier::Trace>(found));
  const auto& trace = std::get<classifier::Trace>(found);
  CHECK(trace.via == (kernel ? classifier::Via::Kernel : classifier::Via::Read));
  CHECK(trace.state == classifier::State::Complete);
  CHECK(trace.size == 18 + 9);
  REQUIRE(trace.segments.size() == 2);
  CHECK(trace.segments[0].size == 18);
  CHECK(trace.segments[1].size == 9);
  CHECK(trace.landmarks.header_end == 16);
  CHECK(trace.path.mss > 1000);
  CHECK(trace.path.syn.substr(0, 2) == "4:");
  say(server, client, "250 queued\r\n");
  CHECK(std::holds_alternative<classifier::Reason>(bed.table.find(self, 0)));
}

TEST_CASE("the kernel filter sees the segments that one read has joined") {
  Bed bed("127.0.0.1", true);
  auto client = support::connect_to(bed.address);
  no_delay(client);
  auto server = bed.accept_session(client);
  const auto self = support::local_address(client.get());
  talk_to_data(client, server);
  std::vector<std::uint32_t> sizes;
  std::string all;
  for (const char* write : {"Subject: ", "one", "\r\n", "From: a\r\n\r\n", "x\r\n.\r\n"}) {
    support::send_all(client.get(), write);  // back to back: the proxy's reads join some of them
    sizes.push_back(static_cast<std::uint32_t>(std::string_view(write).size()));
    all += write;
  }
  REQUIRE(support::read_exactly(server.get(), all.size()) == all);
  const auto found = bed.table.find(self, 0);
  REQUIRE(std::holds_alternative<classifier::Trace>(found));
  std::vector<std::uint32_t> seen;
  for (const auto& segment : std::get<classifier::Trace>(found).segments) {
    seen.push_back(segment.size);
  }
  CHECK(seen == sizes);
}
