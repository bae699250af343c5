// A session under TLS as the milter's questions see it: arrivals, records, answers.
#include "classifier/sealed_log.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/support/tls_stream.h"

using namespace classifier;
using support::Tls13;

namespace {

struct Session {
  static constexpr std::size_t kSegment = 1000;
  Tls13 tls;
  SealedLog log;

  explicit Session(std::size_t limit = 4096, std::uint64_t offset = 40)
      : log(
            {.path = {.mss = 1000}, .offset = offset, .segments = limit},
            [&] {
              ArrivalLog arrivals(limit);
              return arrivals.from(offset);
            }(),
            nullptr) {
    client(tls.client_hello());
    log.server(tls.server_flight());
    client(tls.client_finished());
    turn({23});
  }
  void client(std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += kSegment) {
      const auto some = bytes.substr(at, kSegment);
      log.segment({.offset = log.client_offset(), .size = static_cast<std::uint32_t>(some.size())});
      log.client(some);
    }
  }
  void answer() { log.server(tls.plain(20)); }
  void turn(std::initializer_list<std::size_t> sizes) {
    client(tls.plain(sizes));
    answer();
  }
};

}  // namespace

TEST_CASE("asked in the middle of a message's answer, the log gives its records and segments") {
  Session session;
  session.turn({31});
  session.turn({28, 6});
  session.client(session.tls.plain({4096, 1019}));
  const auto trace = session.log.trace({.header = 300, .body = 4812, .dots = 0}, 1);
  REQUIRE(trace);
  CHECK(trace->window == Window::Exact);
  CHECK(trace->state == State::Complete);
  CHECK(trace->tls);
  CHECK(trace->size == 5115);
  CHECK(trace->records.size() == 2);
  CHECK(trace->hello.version == 0x0304);
  CHECK(trace->dialogue.data_ahead);
  CHECK_FALSE(trace->dialogue.rcpt_ahead);
  std::uint64_t wire = 0;
  for (const Segment& segment : trace->segments) wire += segment.size;
  CHECK(wire == 5115 + 2 * 22);
  CHECK(trace->segments.front().size == 1000);
}

TEST_CASE("each message of a session is placed by its own sizes and its own transaction") {
  Session session;
  for (std::uint32_t number = 1; number <= 40; ++number) {
    session.turn({31});
    session.turn({28});
    session.turn({6});
    session.client(session.tls.plain({1000 + number}));
    const auto trace = session.log.trace({.header = 200, .body = 797 + number, .dots = 0}, number);
    REQUIRE(trace);
    CHECK(trace->window == Window::Exact);
    CHECK(trace->message == number);
    CHECK(trace->state == State::Complete);
    CHECK_FALSE(trace->dialogue.data_ahead);
    CHECK_FALSE(trace->dialogue.rcpt_ahead);
    session.answer();
  }
}

TEST_CASE("a long session keeps to its limit, and a message that is longer says so") {
  Session session(16);
  for (int i = 0; i < 50; ++i) session.turn({700, 700});  // nobody asks
  session.client(session.tls.plain({4000}));
  const auto fits = session.log.trace({.header = 200, .body = 3797, .dots = 0}, 1);
  REQUIRE(fits);
  CHECK(fits->state == State::Complete);
  session.answer();
  session.client(session.tls.plain({16384, 16384}));
  const auto longer = session.log.trace({.header = 200, .body = 32565, .dots = 0}, 2);
  REQUIRE(longer);
  CHECK(longer->state == State::Partial);
  CHECK(longer->reason == Reason::Full);
}

TEST_CASE("what the capture missed makes the next message partial, and none behind it") {
  Session session;
  const auto state = [&](std::uint32_t number) {
    session.turn({31});
    session.turn({28});
    session.turn({6});
    session.client(session.tls.plain({1000}));
    const auto trace = session.log.trace({.header = 200, .body = 797, .dots = 0}, number);
    REQUIRE(trace);
    session.answer();
    return trace->state;
  };
  CHECK(state(1) == State::Complete);
  session.log.missed_some();
  CHECK(state(2) == State::Partial);
  CHECK(state(3) == State::Complete);
}

TEST_CASE("behind its answer, and in a stream that is no TLS, there is no message") {
  Session session;
  session.turn({31});
  session.client(session.tls.plain({900}));
  session.answer();
  CHECK_FALSE(session.log.trace({.header = 200, .body = 697, .dots = 0}, 1)
                  .value_or(Trace{.window = Window::Near})
                  .window == Window::Exact);
  session.client("MAIL FROM:<a@example.net>\r\n");
  CHECK(session.log.lost());
  CHECK_FALSE(session.log.trace({.header = 200, .body = 697, .dots = 0}, 1));
}
