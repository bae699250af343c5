// A session under TLS, as the milter asks about it: arrivals, records, answers.
#include "classifier/tls_log.h"

#include <catch2/catch.hpp>
#include <optional>
#include <string>

#include "tests/support/tls_stream.h"

using namespace classifier;
using support::Tls13;

namespace {

struct Session {
  static constexpr std::size_t kSegment = 1000;
  Tls13 tls;
  TlsLog log;

  explicit Session(std::size_t limit = 4096, std::uint64_t offset = 40, std::size_t greeting = 23)
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
    turn({greeting});
  }
  void client(std::string_view bytes) {
    for (std::size_t at = 0; at < bytes.size(); at += kSegment) {
      const auto some = bytes.substr(at, kSegment);
      log.segment({.offset = log.client_offset(), .size = static_cast<std::uint32_t>(some.size())});
      log.client(some);
    }
  }
  void answer() { log.server(tls.plain(20)); }
  std::optional<Trace> trace(const ShownSizes& shown, std::uint32_t ordinal = 1) {
    auto found = log.trace(shown, ordinal);
    auto* trace = std::get_if<Trace>(&found);
    reason = trace != nullptr ? Reason::None : std::get<Reason>(found);
    return trace != nullptr ? std::optional(std::move(*trace)) : std::nullopt;
  }
  Reason reason = Reason::None;  // of the last trace that was not found
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
  const auto trace = session.trace({.header = 300, .body = 4812});
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
    const auto trace = session.trace({.header = 200, .body = 797 + number}, number);
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
  for (int i = 0; i < 50; ++i) session.turn({700, 700});  // no question
  session.client(session.tls.plain({4000}));
  const auto fits = session.trace({.header = 200, .body = 3797});
  REQUIRE(fits);
  CHECK(fits->state == State::Complete);
  session.answer();
  session.client(session.tls.plain({16384, 16384}));
  const auto longer = session.trace({.header = 200, .body = 32565}, 2);
  REQUIRE(longer);
  CHECK(longer->state == State::Partial);
  CHECK(longer->reason == Reason::Full);
}

TEST_CASE("what the capture missed makes the next message partial, and no later one") {
  Session session;
  const auto state = [&](std::uint32_t number) {
    session.turn({31});
    session.turn({28});
    session.turn({6});
    session.client(session.tls.plain({1000}));
    const auto trace = session.trace({.header = 200, .body = 797}, number);
    REQUIRE(trace);
    session.answer();
    return trace->state;
  };
  CHECK(state(1) == State::Complete);
  session.log.missed_some();
  CHECK(state(2) == State::Partial);
  CHECK(state(3) == State::Complete);
}

TEST_CASE("after its answer, and in a stream that is not TLS, there is no message") {
  Session session;
  session.turn({31});
  session.client(session.tls.plain({900}));
  session.answer();
  CHECK_FALSE(session.trace({.header = 200, .body = 697}));
  session.client("MAIL FROM:<a@example.net>\r\n");
  CHECK(session.log.lost());
  CHECK_FALSE(session.trace({.header = 200, .body = 697}));
}

namespace {

// 25 + 32 bytes of commands.
ShownSizes shown(std::uint64_t header, std::uint64_t body) {
  ShownSizes sizes{.header = header, .body = body, .greeting = 23};
  sizes.envelope.add_mail(13);
  sizes.envelope.add_rcpt(22);
  REQUIRE(sizes.envelope.total == 57);
  return sizes;
}

}  // namespace

TEST_CASE("bytes that may be the message in question hide the bytes after them") {
  Session session;
  SECTION("a message that was refused, and the milter was not asked about it") {
    session.turn({25 + 32 + 6});
    session.turn({3000});
    session.turn({25 + 32 + 6});
  }
  SECTION("it came together with the greeting") {
    Session hasty(4096, 40, 23 + 25 + 32 + 15 + 1000);
    hasty.turn({25 + 32 + 6});
    hasty.client(hasty.tls.plain({1000}));
    CHECK_FALSE(hasty.trace(shown(200, 797)));
    return;
  }
  SECTION("it came after another one, before that was answered") {
    session.turn({25 + 32 + 6});
    session.client(session.tls.plain({500}));
    REQUIRE(session.trace(shown(200, 297)));
    session.client(session.tls.plain({63 + 1000}));
    CHECK_FALSE(session.trace(shown(200, 797), 2));
    session.answer();
    session.turn({25 + 32 + 6});
  }
  session.client(session.tls.plain({1000}));
  CHECK_FALSE(session.trace(shown(200, 797), 2));
  CHECK(session.reason == Reason::Ambiguous);
}

TEST_CASE("bytes that are too short for the message in question do not hide it") {
  Session session;
  session.turn({25 + 32 + 6});
  session.turn({700});  // refused
  session.turn({25 + 32});
  SECTION("if DATA has its own turn") {
    session.turn({6});
    session.client(session.tls.plain({1000}));
    CHECK(session.trace(shown(200, 797), 2));
  }
  SECTION("and else it may have been the message's beginning") {
    session.client(session.tls.plain({6 + 1000}));
    CHECK_FALSE(session.trace(shown(200, 797), 2));
    CHECK(session.reason == Reason::Ambiguous);
  }
}

TEST_CASE("records of turns without a question are kept up to the limit of one message") {
  Session session(64);
  for (int i = 0; i < 40; ++i) session.turn(std::initializer_list<std::size_t>{9, 9, 9, 9});
  CHECK(session.log.memory_used() < 64 * 2 * 64);
}

TEST_CASE("the first message of a session may be a chunk, whose command is shorter than EHLO") {
  Session session;
  session.turn({25});
  session.turn({32});
  session.client(session.tls.plain({15 + 900}));
  const auto trace = session.trace(shown(200, 700));
  REQUIRE(trace);
  CHECK(trace->transfer == Transfer::Bdat);
  CHECK(trace->size == 900);
}

TEST_CASE("messages of a session are found one after the other, by DATA and by BDAT") {
  Session session;
  for (std::uint32_t number = 1; number <= 3; ++number) {
    INFO(number);
    session.turn({25});
    session.turn({32});
    session.turn({6});
    session.client(session.tls.plain({399, 600 + number}));
    const auto trace = session.trace(shown(200, 796 + number), number);
    REQUIRE(trace);
    CHECK(trace->window == Window::Exact);
    session.answer();
  }
  session.turn({25});
  session.turn({32});
  session.client(session.tls.plain({15 + 900}));
  const auto trace = session.trace(shown(200, 700), 4);
  REQUIRE(trace);
  CHECK(trace->transfer == Transfer::Bdat);
  CHECK(trace->window == Window::Exact);
}
