// Tests milter/capture/kernel_filter against the real kernel, over loopback. Needs the right to
// load a program; without it the tests fail and say why.
#include "milter/capture/kernel_filter.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/forged.h"
#include "tests/support/loopback.h"

namespace {

struct Collected final : capture::KernelFilter::Sink {
  std::vector<capture::SegmentEvent> events;
  void segment(const capture::SegmentEvent& event) override { events.push_back(event); }
};

struct Pair {
  support::Listener listener = support::listen_on();
  std::unique_ptr<capture::KernelFilter> filter;
  net::Fd client;
  net::Fd server;

  explicit Pair(std::size_t ring_bytes) : filter(capture::KernelFilter::load(ring_bytes)) {
    filter->attach(listener.fd.get());
    client = support::connect_to(listener.address);
    server = support::accept_one(listener);
    const int on = 1;
    setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
};

}  // namespace

TEST_CASE("each segment with payload gives one event with the cookie of the accepted socket") {
  Pair pair(1 << 16);
  support::send_all(pair.client.get(), "EHLO example\r\n");
  support::send_all(pair.client.get(), "NOOP\r\n");
  REQUIRE(support::read_exactly(pair.server.get(), 20).size() == 20);

  Collected seen;
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() == 2);
  std::uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  REQUIRE(getsockopt(pair.server.get(), SOL_SOCKET, SO_COOKIE, &cookie, &size) == 0);
  CHECK(seen.events[0].cookie == cookie);
  CHECK(seen.events[0].size == 14);
  CHECK(seen.events[1].size == 6);
  CHECK(seen.events[1].seq == seen.events[0].seq + 14);
  CHECK((seen.events[0].flags & 0x08) != 0);  // PSH
  CHECK(seen.events[1].time_ns >= seen.events[0].time_ns);
}

TEST_CASE("an ignored socket gives no events, and the listener's next socket does") {
  Pair pair(1 << 16);
  support::send_all(pair.client.get(), "EHLO example\r\n");
  REQUIRE(support::read_exactly(pair.server.get(), 14).size() == 14);
  capture::KernelFilter::ignore(pair.server.get());
  support::send_all(pair.client.get(), "NOOP\r\n");
  REQUIRE(support::read_exactly(pair.server.get(), 6).size() == 6);
  const auto next = support::connect_to(pair.listener.address);
  const auto accepted = support::accept_one(pair.listener);
  support::send_all(next.get(), "HELO\r\n");
  REQUIRE(support::read_exactly(accepted.get(), 6).size() == 6);
  Collected seen;
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() == 2);
  CHECK(seen.events[0].size == 14);
  CHECK(seen.events[1].size == 6);
  CHECK(seen.events[0].cookie != seen.events[1].cookie);
}

TEST_CASE("the events of a large write cover its bytes without gap or overlap") {
  Pair pair(1 << 16);
  const std::string all(200'000, 'x');
  support::send_all(pair.client.get(), all);
  REQUIRE(support::read_exactly(pair.server.get(), all.size()).size() == all.size());
  Collected seen;
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() > 1);
  std::uint32_t next = seen.events[0].seq;
  for (const auto& event : seen.events) {
    // A slow machine may retransmit a segment.
    if (static_cast<std::int32_t>(event.seq + event.size - next) <= 0) continue;
    CHECK(event.seq == next);
    next += event.size;
  }
  CHECK(next - seen.events[0].seq == all.size());
}

TEST_CASE("a full ring drops events, the next event has their number, and every byte arrives") {
  Pair pair(4096);
  const auto say = [&] {
    // The reader reads at once: otherwise the sender joins writes while the congestion window is
    // full.
    support::send_all(pair.client.get(), "0123456789");
    REQUIRE(support::read_exactly(pair.server.get(), 10) == "0123456789");
  };
  for (int i = 0; i < 500; ++i) say();
  Collected seen;
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() < 500);
  CHECK(seen.events.back().dropped == 0);
  const std::size_t before = seen.events.size();
  say();
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() == before + 1);
  CHECK(seen.events.back().dropped + before == 500);
}

TEST_CASE("a ring that is a quarter full wakes its reader") {
  Pair pair(4096);
  const auto woken = [&] { return support::readable(pair.filter->fd(), 0); };
  int said = 0;
  for (; said < 100 && !woken(); ++said) {
    support::send_all(pair.client.get(), "0123456789");
    REQUIRE(support::read_exactly(pair.server.get(), 10).size() == 10);
  }
  CHECK(said > 4096 / 4 / 64);
  CHECK(said < 4096 / 2 / 48);
  Collected seen;
  pair.filter->drain(seen);
  CHECK(seen.events.size() == static_cast<std::size_t>(said));
  CHECK_FALSE(woken());
}

TEST_CASE("packets without a connection give no event") {
  Pair pair(1 << 16);
  const auto nobody = *net::Endpoint::parse("127.0.0.1:9");
  for (int i = 0; i < 100; ++i) support::forge(nobody, pair.listener.address, {});
  support::send_all(pair.client.get(), "NOOP\r\n");
  REQUIRE(support::read_exactly(pair.server.get(), 6).size() == 6);
  Collected seen;
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() == 1);
  CHECK(seen.events[0].size == 6);
}

TEST_CASE("data with the handshake's last ACK gives no event, later data does") {
  Pair pair(1 << 16);
  const net::Fd late(socket(AF_INET, SOCK_STREAM, 0));
  const int seconds = 1;  // the client's ACK waits for data
  REQUIRE(setsockopt(late.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds) == 0);
  sockaddr_storage to{};
  const socklen_t size = pair.listener.address.fill(to);
  REQUIRE(connect(late.get(), reinterpret_cast<sockaddr*>(&to), size) == 0);
  support::send_all(late.get(), "EHLO early\r\n");
  const net::Fd accepted = support::accept_one(pair.listener);
  REQUIRE(support::read_exactly(accepted.get(), 12).size() == 12);
  support::send_all(late.get(), "NOOP\r\n");
  REQUIRE(support::read_exactly(accepted.get(), 6).size() == 6);
  Collected seen;
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() == 1);
  CHECK(seen.events[0].size == 6);
}

TEST_CASE("an event has the flags and the acknowledgement of its packet") {
  Pair pair(1 << 16);
  support::send_all(pair.client.get(), "A");
  REQUIRE(support::read_exactly(pair.server.get(), 1).size() == 1);
  support::send_all(pair.server.get(), "four");
  REQUIRE(support::read_exactly(pair.client.get(), 4).size() == 4);
  REQUIRE(send(pair.client.get(), "!", 1, MSG_OOB) == 1);
  support::send_all(pair.client.get(), "B");
  REQUIRE(support::read_exactly(pair.server.get(), 1) == "B");
  Collected seen;
  pair.filter->drain(seen);
  REQUIRE(seen.events.size() == 3);
  CHECK((seen.events[0].flags & capture::SegmentEvent::kUrg) == 0);
  CHECK((seen.events[1].flags & capture::SegmentEvent::kUrg) != 0);
  CHECK(seen.events[1].ack == seen.events[0].ack + 4);
}

TEST_CASE("another program can take over the ring, and no event is seen twice or lost") {
  Pair pair(1 << 16);
  support::send_all(pair.client.get(), "EHLO example\r\n");
  REQUIRE(support::read_exactly(pair.server.get(), 14).size() == 14);
  Collected before;
  pair.filter->drain(before);
  CHECK(before.events.size() == 1);
  const int ring = fcntl(pair.filter->ring_fd(), F_DUPFD_CLOEXEC, 0);
  pair.filter.reset();
  const auto next = capture::KernelFilter::adopt(net::Fd(ring));
  support::send_all(pair.client.get(), "NOOP\r\n");
  REQUIRE(support::read_exactly(pair.server.get(), 6).size() == 6);
  Collected seen;
  next->drain(seen);
  REQUIRE(seen.events.size() == 1);
  CHECK(seen.events[0].size == 6);
  CHECK_THROWS(capture::KernelFilter::adopt(net::Fd(open("/dev/null", O_RDONLY | O_CLOEXEC))));
}
