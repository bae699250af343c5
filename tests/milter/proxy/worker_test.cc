// Tests milter/proxy/worker: its thread, its loop and its real clock. session_test tests the
// sessions, watch_test their evidence.
#include "milter/proxy/worker.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <thread>

#include "tests/support/proxy_bed.h"

using namespace std::chrono_literals;
using support::kDraining;
using support::no_delay;
using support::observed;
using support::reason;

namespace {

// A proxy with one worker, in front of a listener that the test serves.
struct StoppedBed : support::BedParts {
  proxy::Worker worker;

  explicit StoppedBed(const support::BedOptions& options = {})
      : BedParts(options), worker(process, {{listener()}, filter.get()}) {}

  // The server's end of a new session. Its PROXY header is read and checked.
  net::Fd accept_for(const net::Endpoint& client, const net::Endpoint& called) {
    auto peer = support::accept_one(server);
    const auto header = net::proxy_v2(client, called);
    REQUIRE(support::read_exactly(peer.get(), header.size()) == header);
    return peer;
  }
  net::Fd accept_session(const net::Fd& client) {
    return accept_for(support::local_address(client.get()), address());
  }
};
struct Bed : StoppedBed {
  explicit Bed(const support::BedOptions& options = {}) : StoppedBed(options) { worker.start(); }
};

std::string noise(std::size_t size) {
  std::mt19937 random(1);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

// One step of a session: `from` sends a line, `to` receives it.
void say(const net::Fd& from, const net::Fd& to, std::string_view line) {
  support::send_all(from.get(), line);
  REQUIRE(support::read_exactly(to.get(), line.size()) == line);
}

void talk_to_data(const net::Fd& client, const net::Fd& server) {
  for (const auto& turn : support::kToData) {
    turn.client ? say(client, server, turn.bytes) : say(server, client, turn.bytes);
  }
}

// Sends a message up to its final dot. Returns what the filter would get for it.
support::Found message(StoppedBed& bed, const net::Fd& client, const net::Fd& server,
                       std::uint32_t after = 0) {
  say(client, server, support::kMessage);
  return bed.table.find({.client = support::local_address(client.get()), .after = after});
}

// Plays a session with one message. Returns why it was not observed; None: it was.
classifier::Reason one_session(Bed& bed) {
  auto client = support::connect_to(bed.address());
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

// Limits the descriptors of this process during its lifetime.
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

// Makes every loopback address a balancer.
void behind_balancers(config::Config& settings) {
  settings.proxy.balancers = {*net::Network::parse("127.0.0.0/8")};
}

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");
const net::Endpoint kCalled = *net::Endpoint::parse("198.51.100.1:25");

// Waits by looking again: another thread's progress gives no event to wait for.
template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < support::kPatienceMs; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(1ms);
  }
  return false;
}

}  // namespace

TEST_CASE("bytes pass both ways at once, unchanged, and each end is passed on") {
  for (const char* host : {"127.0.0.1", "[::1]"}) {
    INFO(host);
    Bed bed({.host = host});
    auto client = support::connect_to(bed.address());
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
    // The client has ended, and the server may still send.
    support::send_all(server.get(), "221 bye\r\n");
    server.reset();
    CHECK(support::read_to_end(client.get()) == "221 bye\r\n");
    client.reset();
    CHECK(eventually([&] { return bed.worker.sessions() == 0; }));
  }
}

TEST_CASE("clients beyond a limit get 421, and open sessions go on") {
  SECTION("of one address") {
    Bed bed({.change = [](config::Config& c) { c.proxy.max_sessions_per_address = 1; }});
    auto first = support::connect_to(bed.address());
    auto server = bed.accept_session(first);
    auto second = support::connect_to(bed.address());
    CHECK(support::read_to_end(second.get()) ==
          "421 4.7.0 Too many connections from your address\r\n");
    say(server, first, "220 mx\r\n");
  }
  SECTION("of all") {
    Bed bed({.change = [](config::Config& c) { c.proxy.max_sessions = 1; }});
    auto first = support::connect_to(bed.address());
    auto server = bed.accept_session(first);
    auto second = support::connect_to(bed.address());
    CHECK(support::read_to_end(second.get()) ==
          "421 4.3.2 Too many connections, try again later\r\n");
    first.reset();
    CHECK(support::read_to_end(server.get()).empty());
    server.reset();
    REQUIRE(eventually([&] { return bed.worker.sessions() == 0; }));
    auto third = support::connect_to(bed.address());
    bed.accept_session(third);
  }
}

TEST_CASE("a draining worker accepts no new client, and its sessions go on to their end") {
  Bed bed;
  const auto client = support::connect_to(bed.address());
  const auto server = bed.accept_session(client);
  talk_to_data(client, server);
  const auto idle = support::connect_to(bed.address());
  const auto greeter = bed.accept_session(idle);
  say(greeter, idle, "220 mx\r\n");
  bed.worker.drain();
  CHECK(support::read_to_end(idle.get()) == kDraining);     // so the worker has received the order
  const auto waiting = support::connect_to(bed.address());  // in the backlog, for the next process
  say(client, server, support::kMessage);
  support::send_all(server.get(), "250 queued\r\n");
  CHECK(support::read_to_end(client.get()) == "250 queued\r\n" + kDraining);
  CHECK(support::read_to_end(server.get()).empty());
  CHECK_FALSE(support::readable(bed.server.fd.get(), 0));
}

TEST_CASE("a worker whose time to drain is over closes its sessions") {
  Bed bed;
  const auto client = support::connect_to(bed.address());
  const auto server = bed.accept_session(client);
  talk_to_data(client, server);
  bed.worker.close_sessions();
  CHECK(support::read_to_end(client.get()).empty());
  CHECK(support::read_to_end(server.get()).empty());
}

TEST_CASE(
    "a worker that handed over its kernel filter relays its sessions to their end, unobserved") {
  Bed bed({.kernel = true});
  auto client = support::connect_to(bed.address());
  no_delay(client);
  auto server = bed.accept_session(client);
  const auto self = support::local_address(client.get());
  talk_to_data(client, server);
  bed.worker.hand_over();
  say(client, server, "Subject: x\r\n\r\ntext\r\n.\r\n");
  const auto found = bed.table.find({.client = self});
  REQUIRE(std::holds_alternative<classifier::Trace>(found));
  CHECK(std::get<classifier::Trace>(found).state == classifier::State::Partial);
  support::send_all(server.get(), std::string("250 queued\r\n"));
  CHECK(support::read_to_end(client.get()) == "250 queued\r\n" + kDraining);
}

TEST_CASE(
    "events that found the ring full are counted, and make a message that has begun partial") {
  StoppedBed bed({.kernel = true, .ring_bytes = 4096});
  // The ring is not read yet, and it has room for some eighty events.
  std::vector<net::Fd> others;
  for (int i = 0; i < 20; ++i) {
    others.push_back(support::connect_to(bed.address()));
    no_delay(others.back());
    for (int segment = 0; segment < 8; ++segment) support::send_all(others.back().get(), "x");
  }
  const auto client = support::connect_to(bed.address());
  bed.worker.start();
  for (const net::Fd& other : others) bed.accept_session(other);
  const auto server = bed.accept_session(client);
  CHECK(bed.counters.ring_full == 0);  // the next event reports them
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

TEST_CASE("a client that connects too often gets 421") {
  Bed bed({.change = [](config::Config& c) { c.proxy.max_rate_per_address = 1; }});
  auto first = support::connect_to(bed.address());
  auto server = bed.accept_session(first);
  auto second = support::connect_to(bed.address());
  CHECK(support::read_to_end(second.get()) ==
        "421 4.7.0 Too many new connections from your address\r\n");
  say(server, first, "220 mx\r\n");
  CHECK(bed.counters.refused_rate == 1);
}

TEST_CASE(
    "when the memory for evidence is used up, new sessions are relayed unobserved until it is "
    "free") {
  Bed bed({.max_bytes = 1'000'000});
  evidence::Budget::Share others(bed.table.budget());
  CHECK(one_session(bed) == classifier::Reason::None);
  others.set(1'000'000);
  CHECK(one_session(bed) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_memory == 1);
  others.set(0);
  CHECK(one_session(bed) == classifier::Reason::None);
  CHECK(bed.counters.overload() == 1);
}

TEST_CASE("when few descriptors are left, new sessions are relayed unobserved") {
  const DescriptorLimit limit(100);  // few are left from 88 on
  Bed bed;
  CHECK(one_session(bed) == classifier::Reason::None);
  REQUIRE(eventually([&] { return bed.worker.sessions() == 0; }));
  std::vector<net::Fd> others;
  do {
    others.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  } while (others.back().get() < 87);
  CHECK(one_session(bed) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_descriptors == 1);
  REQUIRE(eventually([&] { return bed.worker.sessions() == 0; }));
  others.clear();
  CHECK(one_session(bed) == classifier::Reason::None);
}

TEST_CASE("without a free descriptor, new clients wait and open sessions go on") {
  const DescriptorLimit limit(100);
  Bed bed;
  auto client = support::connect_to(bed.address());
  auto server = bed.accept_session(client);
  auto waiting = net::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  std::vector<net::Fd> others;
  do {
    others.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  } while (others.back());
  sockaddr_storage storage{};
  const auto length = bed.address().fill(storage);
  REQUIRE(connect(waiting.get(), reinterpret_cast<sockaddr*>(&storage), length) == 0);
  REQUIRE(eventually([&] { return bed.counters.accept_errors > 0; }));
  say(server, client, "220 mx\r\n");
  say(client, server, "NOOP\r\n");
  CHECK(bed.counters.accept_errors < 10);  // it pauses between its attempts
  others.clear();
  auto peer = bed.accept_session(waiting);
  say(peer, waiting, "220 mx\r\n");
}

TEST_CASE("after a late tick, new sessions are relayed unobserved") {
  const auto before = threads();
  Bed bed;
  int worker = 0;
  for (const int id : threads()) worker = before.contains(id) ? worker : id;
  REQUIRE(worker != 0);
  CHECK(one_session(bed) == classifier::Reason::None);
  static std::atomic<bool> stuck{false};
  std::signal(SIGUSR1, [](int) {
    stuck = true;
    // Two of the ticks, which come once a second, fall into this sleep.
    for (timespec left{2, 100'000'000}; nanosleep(&left, &left) < 0;) continue;
  });
  REQUIRE(syscall(SYS_tgkill, getpid(), worker, SIGUSR1) == 0);
  REQUIRE(eventually([] { return stuck.load(); }));
  // The tick is served in the same turn as the first client, before it or after it.
  one_session(bed);
  CHECK(one_session(bed) == classifier::Reason::Overload);
  CHECK(bed.counters.overload_time >= 1);
}

TEST_CASE("limits per address count the client that a balancer names and not the balancer") {
  Bed bed({.change = [](config::Config& c) {
    behind_balancers(c);
    c.proxy.max_sessions_per_address = 1;
  }});
  const auto other = *net::Endpoint::parse("192.0.2.8:40112");
  const auto begin = [&](const net::Endpoint& client) {
    auto balancer = support::connect_to(bed.address());
    support::send_all(balancer.get(), net::proxy_v2(client, kCalled));
    return balancer;
  };
  auto first = begin(kClient);
  auto first_server = bed.accept_for(kClient, kCalled);
  auto second = begin(other);
  auto second_server = bed.accept_for(other, kCalled);
  auto third = begin(kClient);
  CHECK(support::read_to_end(third.get()) ==
        "421 4.7.0 Too many connections from your address\r\n");
  third.reset();
  first.reset();
  CHECK(support::read_to_end(first_server.get()).empty());
  first_server.reset();
  REQUIRE(eventually([&] { return bed.worker.sessions() == 1; }));
  auto fourth = begin(kClient);
  bed.accept_for(kClient, kCalled);
  say(second_server, second, "220 mx\r\n");
}

TEST_CASE("the rate is that of the client that a balancer names") {
  Bed bed({.change = [](config::Config& c) {
    behind_balancers(c);
    c.proxy.max_rate_per_address = 1;
  }});
  const auto begin = [&](const net::Endpoint& client) {
    auto balancer = support::connect_to(bed.address());
    support::send_all(balancer.get(), net::proxy_v2(client, kCalled));
    return balancer;
  };
  auto first = begin(kClient);
  bed.accept_for(kClient, kCalled);
  auto second = begin(kClient);
  CHECK(support::read_to_end(second.get()) ==
        "421 4.7.0 Too many new connections from your address\r\n");
  const auto other = *net::Endpoint::parse("192.0.2.8:40112");
  auto third = begin(other);
  bed.accept_for(other, kCalled);
  CHECK(bed.counters.refused_rate == 1);
}
