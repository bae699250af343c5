// Tests milter/proxy/{worker,session} over real loopback connections: a client, the proxy, a server
// that plays Postfix. The kernel filter is in the path where the machine allows it.
#include "milter/proxy/worker.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <variant>

#include "milter/net/proxy_protocol.h"
#include "tests/support/forged.h"
#include "tests/support/loopback.h"

using namespace std::chrono_literals;

namespace {

// A proxy with one worker in front of a listener that the test serves.
struct Bed {
  evidence::Table table;
  support::Listener server;
  config::Config settings;
  std::vector<std::vector<net::Fd>> listeners;
  std::unique_ptr<capture::KernelFilter> filter;
  proxy::Counters counters;
  std::optional<proxy::Shared> shared;
  std::optional<proxy::Worker> worker;
  net::Endpoint address;

  explicit Bed(const std::string& host = "127.0.0.1", bool with_kernel = false,
               void (*change)(config::Config&) = nullptr, std::size_t max_bytes = SIZE_MAX,
               std::size_t ring_bytes = 1 << 16, bool start = true)
      : table(100, std::chrono::seconds(60), max_bytes), server(support::listen_on(host)) {
    settings.proxy.listen = {*net::Endpoint::parse(host + ":0")};
    settings.proxy.upstream = server.address;
    settings.proxy.workers = 1;
    if (change != nullptr) change(settings);
    listeners = proxy::open_listeners(settings.proxy);
    address = support::local_address(listeners[0][0].get());
    if (with_kernel) {
      filter = capture::KernelFilter::load(ring_bytes);
      filter->attach(listeners[0][0].get());
    }
    shared.emplace(std::make_shared<const config::Config>(settings), table, counters);
    worker.emplace(*shared, proxy::WorkerInput{{listeners[0][0].get()}, filter.get()});
    if (start) worker->start();
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

// A message up to its final dot; what the filter would be told of it.
std::variant<classifier::Trace, classifier::Reason> message(Bed& bed, const net::Fd& client,
                                                            const net::Fd& server,
                                                            std::uint32_t after = 0) {
  say(client, server, "Subject: hello\r\n\r\ntext\r\n.\r\n");
  return bed.table.find({.client = support::local_address(client.get()), .after = after});
}

bool observed(const std::variant<classifier::Trace, classifier::Reason>& found) {
  return std::holds_alternative<classifier::Trace>(found);
}

classifier::Reason reason(const std::variant<classifier::Trace, classifier::Reason>& found) {
  const auto* missing = std::get_if<classifier::Reason>(&found);
  return missing != nullptr ? *missing : classifier::Reason::None;
}

// A session with one message; whether it was observed, or why not.
classifier::Reason one_session(Bed& bed) {
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  talk_to_data(client, server);
  return reason(message(bed, client, server));
}

std::set<int> threads() {
  std::set<int> ids;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    ids.insert(std::stoi(entry.path().filename()));
  }
  return ids;
}

// While it is there, the process may have this many descriptors.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(rlim_t limit) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{limit, before_.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &now) == 0);
  }
  ~DescriptorLimit() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

// Every loopback address is a balancer's.
void behind_balancers(config::Config& settings) {
  settings.proxy.balancers = {*net::Network::parse("127.0.0.0/8")};
}
void behind_transparent_balancers(config::Config& settings) {
  behind_balancers(settings);
  settings.proxy.balancer_transparent = true;
}

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");
const net::Endpoint kCalled = *net::Endpoint::parse("198.51.100.1:25");
constexpr char kLocalHeader[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const std::string kLocal(kLocalHeader, sizeof kLocalHeader - 1);

// The server's end of a session that a balancer has begun for `client`.
net::Fd accept_for(Bed& bed, const net::Endpoint& client, const net::Endpoint& called) {
  auto peer = support::accept_one(bed.server);
  const auto header = net::proxy_v2(client, called);
  REQUIRE(support::read_exactly(peer.get(), header.size()) == header);
  return peer;
}

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 6000; ++i) {  // a minute
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

TEST_CASE("a refused client that sends a byte now and then is closed in time all the same") {
  Bed bed;
  bed.server.fd.reset();
  auto client = support::connect_to(bed.address);
  CHECK(support::read_to_end(client.get()) ==
        "421 4.3.2 Service not available, try again later\r\n");
  const auto began = std::chrono::steady_clock::now();
  CHECK(eventually([&] {
    support::send_all(client.get(), "N");
    return bed.worker->sessions() == 0;
  }));
  CHECK(std::chrono::steady_clock::now() - began > 3s);  // it has had its time to read the 421
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
  say(server, client, "220 mx ESMTP\r\n");
  SECTION("after the greeting") {}
  SECTION("after an answer") {
    say(client, server, "EHLO client.example\r\n");
    say(server, client, "250 mx\r\n");
  }
  SECTION("after the answers to commands in a row") {
    say(client, server, "RSET\r\nNOOP\r\n");
    say(server, client, "250 ok\r\n250 ok\r\n");
  }
  SECTION("after the server's go for a message") {
    say(client, server, "MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nDATA\r\n");
    say(server, client, "250 ok\r\n250 ok\r\n354 go on\r\n");
  }
  CHECK(support::read_to_end(client.get()).empty());
  CHECK(support::read_to_end(server.get()).empty());
  CHECK(bed.counters.unanswered == 0);
}

TEST_CASE("a session in which the server may owe an answer is not idle") {
  const struct {
    const char* name;
    std::vector<std::string> server_first;  // then in turn: the client's words, the server's
    std::vector<std::string> client_then;
  } rows[] = {
      {"the greeting", {}, {}},
      {"a command", {"220 mx\r\n"}, {"EHLO client.example\r\n"}},
      {"a message", {"220 mx\r\n", "354 go on\r\n"}, {"DATA\r\n", "text\r\n.\r\n"}},
      {"part of a message", {"220 mx\r\n", "354 go on\r\n"}, {"DATA\r\n", "text\r\n"}},
      {"the last of three commands in a row",
       {"220 mx\r\n", "250 ok\r\n250 ok\r\n"},
       {"MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\nBDAT 6 LAST\r\ntext\r\n"}},
      {"what was asked under TLS, perhaps",
       {"220 mx\r\n", "220 go\r\n", std::string("\x16\x03\x03\x00\x01\x02", 6)},
       {"STARTTLS\r\n", std::string("\x16\x03\x01\x00\x01\x01", 6)}},
      {"what cannot be told", {"220 mx\r\n", "250 ok\r\n", "250 ok\r\n"}, {"NOOP\r\n"}},
  };
  Bed bed("127.0.0.1", false, [](config::Config& c) { c.proxy.idle_timeout = 1s; });
  std::vector<std::pair<net::Fd, net::Fd>> sessions;
  for (const auto& row : rows) {
    INFO(row.name);
    auto client = support::connect_to(bed.address);
    auto server = bed.accept_session(client);
    for (std::size_t i = 0; i < row.server_first.size() || i < row.client_then.size(); ++i) {
      if (i < row.server_first.size()) say(server, client, row.server_first[i]);
      if (i < row.client_then.size()) say(client, server, row.client_then[i]);
    }
    sessions.emplace_back(std::move(client), std::move(server));
  }
  // A session that is idle from now on is closed in the meantime.
  auto idle = support::connect_to(bed.address);
  auto greeter = bed.accept_session(idle);
  say(greeter, idle, "220 mx\r\n");
  CHECK(support::read_to_end(idle.get()).empty());
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    INFO(rows[i].name);
    say(sessions[i].second, sessions[i].first, "250 at last\r\n");
  }
}

TEST_CASE("an answer that is owed is waited for without an observer too") {
  Bed bed("127.0.0.1", false, [](config::Config& c) {
    c.proxy.idle_timeout = 1s;
    c.proxy.answer_timeout = 4s;
    c.capture.method = config::Capture::Method::Off;
  });
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  talk_to_data(client, server);
  say(client, server, "text\r\n.\r\n");
  CHECK_FALSE(support::readable(client.get(), 2500));
  say(server, client, "250 queued\r\n");
  // Nobody can tell that this was all: the session ends by the longer limit.
  CHECK_FALSE(support::readable(client.get(), 2500));
  CHECK(support::read_to_end(client.get()).empty());
  CHECK(bed.counters.unanswered == 1);
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
  const auto found = bed.table.find({.client = self});
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

TEST_CASE("when the time to drain is over, an answer that is owed to a message is waited for") {
  const std::string tls = "\x16\x03\x01\x00\x01\x01";
  const std::string mail = "MAIL FROM:<a@example>\r\nRCPT TO:<b@example>\r\n";
  const std::string answers = "250 ok\r\n250 ok\r\n";
  const struct {
    const char* name;
    std::vector<std::string> server;  // in turn, the server first
    std::vector<std::string> client;
    bool owed;
  } rows[] = {
      {"a message",
       {"220 mx\r\n", answers + "354 go\r\n"},
       {mail + "DATA\r\n", "x\r\n.\r\n"},
       true},
      {"a chunk in a row", {"220 mx\r\n", answers}, {mail + "BDAT 3 LAST\r\nx\r\n"}, true},
      {"text in front of 354", {"220 mx\r\n", answers}, {mail + "DATA\r\nx\r\n.\r\n"}, true},
      {"perhaps, under TLS", {"220 mx\r\n", "220 go\r\n", tls}, {"STARTTLS\r\n", tls, tls}, true},
      {"part of a message",
       {"220 mx\r\n", answers + "354 go\r\n"},
       {mail + "DATA\r\n", "x\r\n"},
       false},
      {"part of a chunk", {"220 mx\r\n", answers}, {mail + "BDAT 9 LAST\r\nx\r\n"}, false},
      {"a command", {"220 mx\r\n"}, {mail}, false},
      {"a transaction", {"220 mx\r\n", answers}, {mail}, false},
      {"nothing, under TLS", {"220 mx\r\n", "220 go\r\n", tls}, {"STARTTLS\r\n", tls}, false},
      {"the greeting", {}, {}, false},
  };
  Bed bed;
  std::vector<std::pair<net::Fd, net::Fd>> sessions;
  for (const auto& row : rows) {
    INFO(row.name);
    auto client = support::connect_to(bed.address);
    auto server = bed.accept_session(client);
    for (std::size_t i = 0; i < row.server.size() || i < row.client.size(); ++i) {
      if (i < row.server.size()) say(server, client, row.server[i]);
      if (i < row.client.size()) say(client, server, row.client[i]);
    }
    sessions.emplace_back(std::move(client), std::move(server));
  }
  bed.worker->drain();
  std::this_thread::sleep_for(50ms);
  bed.worker->close_sessions();
  for (std::size_t i = 0; i < sessions.size(); ++i) {
    INFO(rows[i].name);
    const auto& [client, server] = sessions[i];
    if (rows[i].owed) {
      CHECK_FALSE(support::readable(client.get(), 50));
      support::send_all(server.get(), "250 at last\r\n");
      CHECK(support::read_to_end(client.get()).starts_with("250 at last\r\n"));
    } else {
      CHECK(support::read_to_end(client.get()).empty());
    }
    CHECK(support::read_to_end(server.get()).empty());
  }
}

TEST_CASE("without an observer, who spoke last tells whether an answer is owed") {
  Bed bed("127.0.0.1", false,
          [](config::Config& c) { c.capture.method = config::Capture::Method::Off; });
  auto owed = support::connect_to(bed.address);
  auto owing = bed.accept_session(owed);
  talk_to_data(owed, owing);
  say(owed, owing, "text\r\n.\r\n");
  auto idle = support::connect_to(bed.address);
  auto greeter = bed.accept_session(idle);
  say(greeter, idle, "220 mx\r\n");
  bed.worker->close_sessions();
  CHECK(support::read_to_end(idle.get()).empty());
  CHECK_FALSE(support::readable(owed.get(), 50));
  support::send_all(owing.get(), "250 queued\r\n");
  CHECK(support::read_to_end(owed.get()) == "250 queued\r\n");
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
  CHECK(std::get<classifier::Reason>(bed.table.find({.client = self})) == classifier::Reason::Lost);
  say(client, server, "Subject: hello\r\n\r\n");
  say(client, server, "text\r\n.\r\n");
  const auto found = bed.table.find({.client = self});
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
  CHECK(std::holds_alternative<classifier::Reason>(bed.table.find({.client = self})));
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
  const auto found = bed.table.find({.client = self});
  REQUIRE(std::holds_alternative<classifier::Trace>(found));
  std::vector<std::uint32_t> seen;
  for (const auto& segment : std::get<classifier::Trace>(found).segments) {
    seen.push_back(segment.size);
  }
  CHECK(seen == sizes);
}

TEST_CASE("what comes with the handshake's last ACK is the stream's first segment") {
  Bed bed("127.0.0.1", true);
  const net::Fd client(socket(AF_INET, SOCK_STREAM, 0));
  const int seconds = 1;  // of a client: its ACK waits for data
  REQUIRE(setsockopt(client.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0);
  sockaddr_storage to{};
  const socklen_t size = bed.address.fill(to);
  REQUIRE(connect(client.get(), reinterpret_cast<sockaddr*>(&to), size) == 0);
  no_delay(client);
  const std::string talk = "EHLO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";
  support::send_all(client.get(), talk + "Subject: he");
  const auto server = bed.accept_session(client);
  REQUIRE(support::read_exactly(server.get(), talk.size() + 11) == talk + "Subject: he");
  say(client, server, "llo\r\n\r\ntext\r\n.\r\n");
  say(server, client, "220 mx\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n");
  const auto found = bed.table.find({.client = support::local_address(client.get())});
  REQUIRE(observed(found));
  const auto& trace = std::get<classifier::Trace>(found);
  CHECK(trace.state == classifier::State::Complete);
  REQUIRE(trace.segments.size() == 2);
  CHECK(trace.segments[0].before == talk.size());
  CHECK(trace.segments[0].size == 11);
}

TEST_CASE("urgent data ends the observing, and the stream is as it is without us") {
  for (const bool in_text : {true, false}) {
    Bed bed("127.0.0.1", true);
    const auto client = support::connect_to(bed.address);
    const auto server = bed.accept_session(client);
    no_delay(client);
    if (!in_text) REQUIRE(send(client.get(), "!", 1, MSG_OOB) == 1);
    talk_to_data(client, server);
    if (in_text) REQUIRE(send(client.get(), "!", 1, MSG_OOB) == 1);
    CHECK(reason(message(bed, client, server)) == classifier::Reason::Lost);
  }
}

TEST_CASE("packets that TCP refuses do no harm by strangers, and hide what they lie over") {
  struct Row {
    const char* label;
    bool greeted;  // the client has spoken
    std::uint32_t ahead, acknowledges_more;
    bool urgent;
    bool harmless;
  };
  const Row rows[] = {
      {"far ahead", true, 17U << 20, 0, false, true},
      {"far behind", true, -(17U << 20), 0, false, true},
      {"over the message, but acknowledges anything", true, 0, 1U << 30, false, true},
      {"urgent, but acknowledges anything", true, 0, 1U << 30, true, true},
      {"urgent, before the client speaks", false, 1U << 20, 1U << 30, true, true},
      {"over the message", true, 0, 0, false, false},
      {"over a part of it", true, 10, 0, false, false},
      {"behind it", true, 1000, 0, false, true},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    Bed bed("127.0.0.1", true);
    const auto client = support::connect_to(bed.address);
    const auto server = bed.accept_session(client);
    const auto stranger = [&] {
      const auto numbers = support::numbers_of(client.get());
      support::forge(support::local_address(client.get()), bed.address,
                     {.seq = numbers.sends + row.ahead,
                      .ack = numbers.takes + row.acknowledges_more,
                      .urgent = row.urgent});
    };
    if (!row.greeted) stranger();
    talk_to_data(client, server);
    if (row.greeted) stranger();
    const auto found = message(bed, client, server);
    REQUIRE(observed(found));
    const auto& trace = std::get<classifier::Trace>(found);
    CHECK(trace.segments.size() == (row.harmless ? 1 : 0));
    CHECK(trace.reason == (row.harmless ? classifier::Reason::None : classifier::Reason::Dropped));
  }
}

TEST_CASE("events that found the ring full are counted, and make a message under way partial") {
  Bed bed("127.0.0.1", true, nullptr, SIZE_MAX, 4096, false);
  // Nobody reads the ring yet, and it has room for some eighty events.
  std::vector<net::Fd> others;
  for (int i = 0; i < 20; ++i) {
    others.push_back(support::connect_to(bed.address));
    no_delay(others.back());
    for (int segment = 0; segment < 8; ++segment) support::send_all(others.back().get(), "x");
  }
  const auto client = support::connect_to(bed.address);
  bed.worker->start();
  for (const net::Fd& other : others) bed.accept_session(other);
  const auto server = bed.accept_session(client);
  CHECK(bed.counters.ring_full == 0);  // the next event says it
  talk_to_data(client, server);
  const auto found = message(bed, client, server);
  CHECK(bed.counters.ring_full > 0);
  REQUIRE(observed(found));
  CHECK(std::get<classifier::Trace>(found).state == classifier::State::Partial);
  CHECK(std::get<classifier::Trace>(found).reason == classifier::Reason::Dropped);
  say(server, client, "250 queued\r\n");
  say(client, server, "MAIL FROM:<a@b>\r\n");
  say(server, client, "250 ok\r\n");
  say(client, server, "RCPT TO:<c@d>\r\n");
  say(server, client, "250 ok\r\n");
  say(client, server, "DATA\r\n");
  say(server, client, "354 go on\r\n");
  const auto next = message(bed, client, server, 1);
  REQUIRE(observed(next));
  CHECK(std::get<classifier::Trace>(next).state == classifier::State::Complete);
}

TEST_CASE("a client's new sessions are let in at a rate, a burst of a minute's at once") {
  using Answer = proxy::Admission::Answer;
  proxy::Admission admission;
  config::Proxy limits;
  limits.max_rate_per_address = 30;
  const auto one = *net::Endpoint::parse("[2001:db8:0:1::7]:40112");
  const auto sibling = *net::Endpoint::parse("[2001:db8:0:1::8]:40113");
  const auto stranger = *net::Endpoint::parse("[2001:db8:0:2::7]:40112");
  proxy::steady_clock::time_point now{1h};
  const auto enter = [&](const net::Endpoint& client) {
    const auto answer = admission.enter(client, limits, now);
    if (answer == Answer::Admitted) admission.leave(client);
    return answer;
  };
  for (int i = 0; i < 30; ++i) CHECK(enter(i % 2 == 0 ? one : sibling) == Answer::Admitted);
  CHECK(enter(one) == Answer::TooFast);
  CHECK(enter(sibling) == Answer::TooFast);
  CHECK(enter(stranger) == Answer::Admitted);
  now += 2s;  // a thirtieth of a minute
  CHECK(enter(one) == Answer::Admitted);
  CHECK(enter(one) == Answer::TooFast);
  now += 60s;
  for (int i = 0; i < 30; ++i) CHECK(enter(one) == Answer::Admitted);
  CHECK(enter(one) == Answer::TooFast);
  limits.max_rate_per_address = 0;
  CHECK(enter(one) == Answer::Admitted);
}

TEST_CASE("by default the number of new sessions of a client is not limited, as in Postfix") {
  using Answer = proxy::Admission::Answer;
  proxy::Admission admission;
  const proxy::steady_clock::time_point now{1h};
  const auto client = *net::Endpoint::parse("192.0.2.7:40112");
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(admission.enter(client, {}, now) == Answer::Admitted);
    admission.leave(client);
  }
  CHECK(admission.rates() == 0);
}

TEST_CASE("one network cannot have all sessions, however many addresses it has") {
  using Answer = proxy::Admission::Answer;
  const auto [inside, outside] =
      GENERATE(std::pair("[2001:db8:7:{:x}::1]:25", "[2001:db8:8::1]:25"),
               std::pair("192.0.2.{}:25", "192.0.3.1:25"));
  INFO(inside);
  proxy::Admission admission;
  config::Proxy limits;
  limits.max_sessions = 100;
  const proxy::steady_clock::time_point now{1h};
  const auto client = [&, pattern = inside](int i) {
    return *net::Endpoint::parse(fmt::format(fmt::runtime(pattern), i));
  };
  const int half = 50;
  for (int i = 0; i < half; ++i) CHECK(admission.enter(client(i), limits, now) == Answer::Admitted);
  CHECK(admission.enter(client(half), limits, now) == Answer::TooManyOfNetwork);
  const auto stranger = *net::Endpoint::parse(outside);
  CHECK(admission.enter(stranger, limits, now) == Answer::Admitted);
  admission.leave(client(0));
  CHECK(admission.enter(client(half), limits, now) == Answer::Admitted);
  limits.max_sessions_per_network = 2;
  CHECK(admission.enter(stranger, limits, now) == Answer::Admitted);
  CHECK(admission.enter(stranger, limits, now) == Answer::TooManyOfNetwork);
}

TEST_CASE("so many clients' rates are known; beyond, clients are let in") {
  using Answer = proxy::Admission::Answer;
  proxy::Admission admission;
  config::Proxy limits;
  limits.max_sessions = 1'000'000;
  limits.max_rate_per_address = 1;
  proxy::steady_clock::time_point now{1h};
  const auto client = [](std::size_t i) {
    return *net::Endpoint::parse(fmt::format("[2001:db8:{:x}:{:x}::1]:25", i >> 16, i & 0xffff));
  };
  for (std::size_t i = 0; i < net::Pace::kMost + 100; ++i) {
    REQUIRE(admission.enter(client(i), limits, now) == Answer::Admitted);
  }
  CHECK(admission.rates() == net::Pace::kMost);
  CHECK(admission.enter(client(0), limits, now) == Answer::TooFast);
  now += 61s;  // all of them are behind: they go
  CHECK(admission.enter(client(1'000'000), limits, now) == Answer::Admitted);
  CHECK(admission.rates() == 1);
}

TEST_CASE("a client that comes too often is told 421") {
  Bed bed("127.0.0.1", false, [](config::Config& c) { c.proxy.max_rate_per_address = 1; });
  auto first = support::connect_to(bed.address);
  auto server = bed.accept_session(first);
  auto second = support::connect_to(bed.address);
  CHECK(support::read_to_end(second.get()) ==
        "421 4.7.0 Too many new connections from your address\r\n");
  say(server, first, "220 mx\r\n");
  CHECK(bed.counters.refused_rate == 1);
}

TEST_CASE("a byte now and then is not silence") {
  CHECK(config::Proxy{}.idle_timeout > 300s);  // Postfix's smtpd_timeout
  Bed bed("127.0.0.1", false, [](config::Config& c) {
    c.proxy.idle_timeout = 2s;
    c.proxy.answer_timeout = 2s;
  });
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  for (int i = 0; i < 8; ++i) {
    say(client, server, "N");
    std::this_thread::sleep_for(500ms);
  }
  CHECK(support::read_to_end(server.get()).empty());  // and now it is
}

TEST_CASE("when evidence takes its memory, new sessions are relayed unobserved, until it is free") {
  Bed bed("127.0.0.1", false, nullptr, 1'000'000);
  evidence::Budget::Share others(bed.table.budget());
  CHECK(one_session(bed) == classifier::Reason::None);
  others.set(1'000'000);
  CHECK(one_session(bed) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_memory == 1);
  others.set(0);
  CHECK(one_session(bed) == classifier::Reason::None);
  CHECK(bed.counters.overload() == 1);
}

TEST_CASE("a session whose evidence outgrows the memory for it is relayed on") {
  Bed bed("127.0.0.1", false, nullptr, 20'000);
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  talk_to_data(client, server);
  for (int i = 0; i < 1000; ++i) say(client, server, "a line of the message\r\n");
  CHECK(reason(message(bed, client, server)) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_memory == 1);
  CHECK(bed.table.budget().used() == 0);
  say(server, client, "250 queued\r\n");
}

TEST_CASE("near the end of descriptors, new sessions are relayed unobserved") {
  const DescriptorLimit limit(100);  // few are left from 88 on
  Bed bed;
  CHECK(one_session(bed) == classifier::Reason::None);
  REQUIRE(eventually([&] { return bed.worker->sessions() == 0; }));
  std::vector<net::Fd> others;
  do {
    others.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  } while (others.back().get() < 87);
  CHECK(one_session(bed) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_descriptors == 1);
  REQUIRE(eventually([&] { return bed.worker->sessions() == 0; }));
  others.clear();
  CHECK(one_session(bed) == classifier::Reason::None);
}

TEST_CASE("without a descriptor to accept with, clients wait and sessions go on") {
  const DescriptorLimit limit(100);
  Bed bed;
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  auto waiting = net::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::vector<net::Fd> others;
  do {
    others.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  } while (others.back());
  sockaddr_storage storage{};
  const auto length = bed.address.fill(storage);
  REQUIRE(connect(waiting.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0);
  REQUIRE(eventually([&] { return bed.counters.accept_errors > 0; }));
  say(server, client, "220 mx\r\n");
  say(client, server, "NOOP\r\n");
  CHECK(bed.counters.accept_errors < 10);  // it does not try without rest
  others.clear();
  auto peer = bed.accept_session(waiting);
  say(peer, waiting, "220 mx\r\n");
}

TEST_CASE("after a tick that came late, new sessions are relayed unobserved") {
  const auto before = threads();
  Bed bed;
  int worker = 0;
  for (const int id : threads()) worker = before.contains(id) ? worker : id;
  REQUIRE(worker != 0);
  CHECK(one_session(bed) == classifier::Reason::None);
  std::signal(SIGUSR1, [](int) {
    for (timespec left{3, 500'000'000}; nanosleep(&left, &left) < 0;) continue;
  });
  REQUIRE(syscall(SYS_tgkill, getpid(), worker, SIGUSR1) == 0);
  std::this_thread::sleep_for(100ms);
  // The tick is served in the same turn as the first client, in front of it or behind.
  one_session(bed);
  CHECK(one_session(bed) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_time >= 1);
}

TEST_CASE("a session's evidence is gathered for a time; a message under way is finished") {
  Bed bed("127.0.0.1", false,
          [](config::Config& c) { c.capture.max_session_time = std::chrono::seconds(3); });
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  talk_to_data(client, server);
  say(client, server, "X-First: half\r\n");
  std::this_thread::sleep_for(3200ms);
  CHECK(observed(message(bed, client, server)));
  say(server, client, "250 queued\r\n");
  say(client, server, "MAIL FROM:<a@example>\r\n");
  say(server, client, "250 ok\r\n");
  say(client, server, "DATA\r\n");
  say(server, client, "354 go on\r\n");
  CHECK(reason(message(bed, client, server, 1)) == classifier::Reason::Expired);
}

TEST_CASE("while a server takes nothing, the proxy does not spin, and then it gets all") {
  Bed bed;
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  const auto sent = noise(20'000'000);  // more than buffers hold
  std::thread sends([&] {
    support::send_all(client.get(), sent);
    shutdown(client.get(), SHUT_WR);
  });
  // Nobody reads: all buffers fill, and then each send to the server would block.
  const auto processor_time = [] {
    timespec now{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
  };
  std::this_thread::sleep_for(500ms);
  const auto before = processor_time();
  std::this_thread::sleep_for(1s);
  CHECK(processor_time() - before < 100ms);
  const auto got = support::read_to_end(server.get());
  sends.join();
  CHECK(got == sent);
}

TEST_CASE("whom a balancer's header names is the client, in whatever pieces it comes") {
  const bool v1 = GENERATE(true, false);
  const std::size_t piece = GENERATE(1, 7, 1000);
  const bool early = GENERATE(true, false);  // the client's first bytes come together with it
  INFO(v1 << ' ' << piece << ' ' << early);
  Bed bed("127.0.0.1", true, behind_balancers);
  auto balancer = support::connect_to(bed.address);
  no_delay(balancer);
  auto bytes = v1 ? net::proxy_v1(kClient, kCalled) : net::proxy_v2(kClient, kCalled);
  const std::string greeting = early ? "EHLO client.example\r\n" : "";
  bytes += greeting;
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    support::send_all(balancer.get(), bytes.substr(at, piece));
    if (piece == 1) std::this_thread::sleep_for(1ms);
  }
  auto server = accept_for(bed, kClient, kCalled);
  CHECK(support::read_exactly(server.get(), greeting.size()) == greeting);
  say(server, balancer, "220 mx ESMTP\r\n");
  say(balancer, server, "QUIT\r\n");
  // Not the client's segments, and nobody has said that they are.
  CHECK(std::get<classifier::Reason>(bed.table.find({.client = kClient})) ==
        classifier::Reason::Balancer);
}

TEST_CASE("a draining worker knows where a transaction ends behind a balancer too") {
  Bed bed("127.0.0.1", true, behind_balancers);
  auto client = support::connect_to(bed.address);
  support::send_all(client.get(), net::proxy_v2(kClient, kCalled));
  auto server = accept_for(bed, kClient, kCalled);
  talk_to_data(client, server);
  bed.worker->drain();
  say(client, server, "Subject: x\r\n\r\ntext\r\n.\r\n");
  const auto found = bed.table.find({.client = kClient});
  REQUIRE(std::holds_alternative<classifier::Reason>(found));
  CHECK(std::get<classifier::Reason>(found) == classifier::Reason::Balancer);
  support::send_all(server.get(), "250 queued\r\n");
  CHECK(support::read_to_end(client.get()) == "250 queued\r\n" + std::string(kDraining));
}

TEST_CASE("from others than balancers a PROXY header is bytes like any others") {
  Bed bed("127.0.0.1", false, [](config::Config& c) {
    c.proxy.balancers = {*net::Network::parse("127.0.0.2"), *net::Network::parse("10.0.0.0/8")};
  });
  auto client = support::connect_to(bed.address);
  auto server = bed.accept_session(client);
  say(client, server, net::proxy_v2(kClient, kCalled));
  say(client, server, net::proxy_v1(kClient, kCalled));
}

TEST_CASE("a transparent balancer's segments are the client's, and its header is none of them") {
  const bool kernel = GENERATE(true, false);
  const bool early = GENERATE(true, false);
  INFO((kernel ? "kernel filter" : "reads") << (early ? ", early" : ""));
  Bed bed("127.0.0.1", kernel, behind_transparent_balancers);
  auto client = support::connect_to(bed.address);
  no_delay(client);
  // One segment, with the first command behind the header.
  const std::string ehlo = "EHLO client.example\r\n";
  support::send_all(client.get(), net::proxy_v2(kClient, kCalled) + (early ? ehlo : ""));
  auto server = accept_for(bed, kClient, kCalled);
  if (early) {
    REQUIRE(support::read_exactly(server.get(), ehlo.size()) == ehlo);
    say(server, client, "220 mx ESMTP\r\n250 mx\r\n");
    for (const char* command : {"MAIL FROM:<a@example>\r\n", "RCPT TO:<b@example>\r\n"}) {
      say(client, server, command);
      say(server, client, "250 ok\r\n");
    }
    say(client, server, "DATA\r\n");
    say(server, client, "354 go on\r\n");
  } else {
    talk_to_data(client, server);
  }
  say(client, server, "Subject: hello\r\n\r\n");
  say(client, server, "text\r\n.\r\n");
  const auto found = bed.table.find({.client = kClient});
  REQUIRE(std::holds_alternative<classifier::Trace>(found));
  const auto& trace = std::get<classifier::Trace>(found);
  CHECK(trace.via == (kernel ? classifier::Via::Balancer : classifier::Via::Read));
  CHECK(trace.state == classifier::State::Complete);
  CHECK(trace.dialogue.early_talker == early);
  CHECK_FALSE(trace.dialogue.split_command);
  REQUIRE(trace.segments.size() == 2);
  CHECK(trace.segments[0].size == 18);
  CHECK(trace.segments[0].before == 0);
  CHECK(trace.segments[1].size == 9);
  CHECK(trace.segments[1].count == 1);
}

TEST_CASE("a balancer without a good header is closed, and Postfix does not hear of it") {
  struct Row {
    const char* what;
    std::string bytes;
    bool ends;  // it closes its side, and is not waited for
  };
  const auto v2 = net::proxy_v2(kClient, kCalled);
  std::string longest = v2.substr(0, 14) + "\xff\xff" + std::string(60000, 'x');
  const auto row =
      GENERATE_COPY(values<Row>({{"SMTP", "EHLO client.example\r\n", false},
                                 {"a line without end", "PROXY " + std::string(200, 'x'), false},
                                 {"64 KB", longest, false},
                                 {"half a header, and it goes", v2.substr(0, 20), true},
                                 {"half a header, and it stays", v2.substr(0, 20), false},
                                 {"nothing", "", false}}));
  INFO(row.what);
  Bed bed("127.0.0.1", true, [](config::Config& c) {
    behind_balancers(c);
    c.proxy.balancer_timeout = std::chrono::seconds(1);
    c.proxy.max_sessions = 1;
  });
  auto balancer = support::connect_to(bed.address);
  // The proxy may close before it has all: that is no error of this test's.
  ::send(balancer.get(), row.bytes.data(), row.bytes.size(), MSG_NOSIGNAL);
  if (row.ends) shutdown(balancer.get(), SHUT_WR);
  char byte = 0;
  REQUIRE(support::readable(balancer.get(), 5000));
  CHECK(::recv(balancer.get(), &byte, 1, 0) <= 0);  // the end, or a reset, but not a word
  CHECK(eventually([&] { return bed.counters.introductions_refused == 1; }));
  CHECK_FALSE(support::readable(bed.server.fd.get(), 50));
  // Its place is free again.
  REQUIRE(eventually([&] { return bed.worker->sessions() == 0; }));
  auto next = support::connect_to(bed.address);
  support::send_all(next.get(), v2);
  auto server = accept_for(bed, kClient, kCalled);
  say(server, next, "220 mx\r\n");
}

TEST_CASE("health checks of a balancer: Postfix hears only of those that wait for it") {
  Bed bed("127.0.0.1", true, behind_balancers);
  SECTION("one that connects and goes") {
    support::connect_to(bed.address).reset();
    CHECK_FALSE(support::readable(bed.server.fd.get(), 200));
  }
  SECTION("one that says LOCAL and goes") {
    const bool reset = GENERATE(true, false);
    auto check = support::connect_to(bed.address);
    support::send_all(check.get(), kLocal);
    const linger now{reset, 0};
    setsockopt(check.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    check.reset();
    CHECK_FALSE(support::readable(bed.server.fd.get(), 200));
  }
  SECTION("one that says LOCAL and waits for the greeting is a client of its own address") {
    const bool early = GENERATE(true, false);
    auto check = support::connect_to(bed.address);
    support::send_all(check.get(), early ? kLocal + "EHLO x\r\n" : kLocal);
    auto server = accept_for(bed, support::local_address(check.get()), bed.address);
    if (early) CHECK(support::read_exactly(server.get(), 8) == "EHLO x\r\n");
    say(server, check, "220 mx\r\n");
    say(check, server, "QUIT\r\n");
  }
  SECTION("the same in version 1") {
    auto check = support::connect_to(bed.address);
    support::send_all(check.get(), "PROXY UNKNOWN\r\n");
    auto server = accept_for(bed, support::local_address(check.get()), bed.address);
    say(server, check, "220 mx\r\n");
  }
  CHECK(bed.counters.introductions_refused == 0);
  CHECK(eventually([&] { return bed.worker->sessions() == 0; }));
  CHECK(bed.shared->admission.sessions() == 0);
}

TEST_CASE("limits per address count the client that a balancer names, not the balancer") {
  Bed bed("127.0.0.1", false, [](config::Config& c) {
    behind_balancers(c);
    c.proxy.max_sessions_per_address = 1;
  });
  const auto other = *net::Endpoint::parse("192.0.2.8:40112");
  const auto begin = [&](const net::Endpoint& client) {
    auto balancer = support::connect_to(bed.address);
    support::send_all(balancer.get(), net::proxy_v2(client, kCalled));
    return balancer;
  };
  auto first = begin(kClient);
  auto first_server = accept_for(bed, kClient, kCalled);
  auto second = begin(other);
  auto second_server = accept_for(bed, other, kCalled);
  auto third = begin(kClient);
  CHECK(support::read_to_end(third.get()) ==
        "421 4.7.0 Too many connections from your address\r\n");
  third.reset();
  first.reset();
  CHECK(support::read_to_end(first_server.get()).empty());
  first_server.reset();
  REQUIRE(eventually([&] { return bed.worker->sessions() == 1; }));
  auto fourth = begin(kClient);
  accept_for(bed, kClient, kCalled);
  say(second_server, second, "220 mx\r\n");
}

TEST_CASE("the rate is that of the client that a balancer names") {
  Bed bed("127.0.0.1", false, [](config::Config& c) {
    behind_balancers(c);
    c.proxy.max_rate_per_address = 1;
  });
  const auto begin = [&](const net::Endpoint& client) {
    auto balancer = support::connect_to(bed.address);
    support::send_all(balancer.get(), net::proxy_v2(client, kCalled));
    return balancer;
  };
  auto first = begin(kClient);
  accept_for(bed, kClient, kCalled);
  auto second = begin(kClient);
  CHECK(support::read_to_end(second.get()) == proxy::kTooFast);
  const auto other = *net::Endpoint::parse("192.0.2.8:40112");
  auto third = begin(other);
  accept_for(bed, other, kCalled);
  CHECK(bed.counters.refused_rate == 1);
}
