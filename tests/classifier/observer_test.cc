// The observer with arrivals in every order: which segments a message gets, and their marks if some
// are missing, repeated, late or shared with commands.
#include "classifier/observer.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/support/smtp_script.h"

using classifier::Arrival;
using classifier::Observer;
using classifier::Reason;
using classifier::Segment;
using classifier::State;
using classifier::Trace;
using classifier::Via;
using test::C;
using test::raw;
using test::S;
using test::Script;

namespace {

struct Collector final : Observer::Sink {
  std::vector<Trace> traces;
  std::vector<std::uint32_t> answers;
  std::vector<Reason> losses;
  void message(classifier::ObservedMessage&& message) override {
    traces.push_back(std::move(message.trace));
  }
  void answered(std::uint32_t ordinal) override { answers.push_back(ordinal); }
  void lost(Reason reason) override { losses.push_back(reason); }
};

// A session whose client bytes arrive as the test says, one millisecond apart.
struct Session {
  static constexpr std::uint64_t kStepNs = 1'000'000;

  Collector sink;
  Observer observer;
  std::uint64_t clock = 0;

  explicit Session(Observer::Limits limits = {}, Via via = Via::Kernel)
      : observer(sink, via, limits) {}

  void arrive(std::uint64_t offset, std::uint32_t size, bool push = false) {
    observer.segment({.offset = offset, .size = size, .time_ns = clock += kStepNs, .push = push});
  }
  // One segment that carries `bytes`, given at once.
  void client(std::string_view bytes, bool push = true) {
    arrive(observer.client_offset(), static_cast<std::uint32_t>(bytes.size()), push);
    observer.client(bytes);
  }
  void server(std::string_view line) { observer.server(std::string(line) + "\r\n"); }

  // Up to the 354. Returns the offset at which the message begins.
  std::uint64_t open() {
    for (const test::Turn& turn : test::opened()) {
      turn.client ? client(turn.bytes) : observer.server(turn.bytes);
    }
    client("DATA\r\n");
    server("354 go");
    return observer.client_offset();
  }

  const Trace& trace() {
    REQUIRE(sink.traces.size() == 1);
    return sink.traces[0];
  }
};

std::string sizes(const Trace& trace) {
  std::string text;
  for (const Segment& s : trace.segments) {
    if (!text.empty()) text += ' ';
    if (s.hole) text += '_';
    if (s.before != 0) text += std::to_string(s.before) + "<";
    text += std::to_string(s.size);
    if (s.after != 0) text += ">" + std::to_string(s.after);
    if (s.resent) text += 'r';
    if (s.late) text += 'l';
    if (s.line_end) text += '$';
    if (s.cr_end) text += '%';
  }
  return text;
}

// 30 bytes: lines end at 8, 17, 19, 27; the dot's at 30.
constexpr std::string_view kMail = "From: a\nSubject:\n\r\nbody!!\r\n.\r\n";

}  // namespace

TEST_CASE("a message's segments are those that carried its bytes") {
  Session session;
  session.open();
  session.client("From: a\r\n", true);
  session.client("Subject: x\r", false);
  session.client("\n\r\nbody\r\n.\r\n");
  const Trace& trace = session.trace();
  CHECK(sizes(trace) == "9$ 11% 12$");
  CHECK(trace.state == State::Complete);
  CHECK(trace.reason == Reason::None);
  CHECK(trace.size == 32);
  CHECK(trace.segments[0].push);
  CHECK_FALSE(trace.segments[1].push);
  CHECK(trace.segments[0].gap_us == 0);
  CHECK(trace.segments[1].gap_us == 1000);
  CHECK(trace.landmarks.header_end == 21);
  CHECK(trace.dialogue.greeting == classifier::Dialogue::Greeting::Ehlo);
  CHECK_FALSE(trace.dialogue.split_command);
  CHECK_FALSE(trace.dialogue.quit_with_dot);
}

TEST_CASE("arrivals in any order cover the message and are marked with what happened to them") {
  struct Row {
    std::string_view label;
    std::vector<std::pair<std::uint64_t, std::uint32_t>> arrivals;  // offset in the message, size
    std::string_view expect;
    State state = State::Complete;
  };
  const std::vector<Row> rows = {
      {"in order", {{0, 10}, {10, 10}, {20, 11}}, "10 10 11$"},
      {"repeated whole", {{0, 10}, {0, 10}, {10, 21}}, "10r 21$"},
      {"two swapped", {{0, 10}, {20, 11}, {10, 10}}, "10 10l 11$"},
      {"all reversed", {{20, 11}, {10, 10}, {0, 10}}, "10l 10l 11$"},
      {"repeated twice, the second late", {{0, 10}, {10, 21}, {0, 10}, {0, 10}}, "10r 21$"},
      // Two arrivals for the same bytes, and the receiver took only one of them.
      {"repeated in part, and more", {{0, 10}, {5, 15}, {20, 11}}, "_11$", State::Partial},
      {"one copy over two", {{0, 10}, {10, 10}, {0, 20}, {20, 11}}, "_11$", State::Partial},
      {"two over one", {{0, 20}, {0, 10}, {10, 10}, {20, 11}}, "_11$", State::Partial},
      {"one around an earlier one", {{8, 9}, {0, 31}}, "", State::Partial},
      {"one that begins within another", {{0, 10}, {10, 21}, {30, 9}}, "10", State::Partial},
      {"unlike ones in the middle",
       {{0, 10}, {10, 5}, {10, 10}, {20, 11}},
       "10 _11$",
       State::Partial},
      {"one missing", {{0, 10}, {20, 11}}, "10 _11$", State::Partial},
      {"the first missing", {{10, 21}}, "_21$", State::Partial},
      {"the last missing", {{0, 10}, {10, 10}}, "10 10", State::Partial},
      {"all missing", {}, "", State::Partial},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    Session session;
    const std::uint64_t begin = session.open();
    for (const auto& [offset, size] : row.arrivals) session.arrive(begin + offset, size);
    session.observer.client(std::string("From: a\nSubject:\n\r\nbody!!!\r\n.\r\n"));
    const Trace& trace = session.trace();
    CHECK(sizes(trace) == row.expect);
    CHECK(trace.state == row.state);
    CHECK(trace.reason == (row.state == State::Complete ? Reason::None : Reason::Dropped));
  }
}

TEST_CASE("bytes that come again after they were read are a copy, however they are cut") {
  struct Row {
    std::string_view label;
    std::uint64_t offset;
    std::uint32_t size;
    std::string_view expect;
  };
  const std::vector<Row> rows = {
      {"alike", 0, 10, "10r 10 11$"},
      {"less", 2, 5, "10r 10 11$"},
      {"both", 0, 20, "10r 10r 11$"},
      {"and more, which had not come", 0, 31, "10r 10r 20<11$"},
      {"and more, cut otherwise than what came", 15, 10, "10 10r"},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    Session session;
    const std::uint64_t begin = session.open();
    const std::string_view mail = "From: a\nSubject:\n\r\nbody!!!\r\n.\r\n";
    session.client(mail.substr(0, 10));
    session.client(mail.substr(10, 10));
    session.arrive(begin + row.offset, row.size);
    if (row.offset + row.size < mail.size()) session.arrive(begin + 20, 11);
    session.observer.client(mail.substr(20));
    CHECK(sizes(session.trace()) == row.expect);
  }
}

TEST_CASE("forged packets over the true segments leave no label") {
  // 30 bytes in three writes, and packets over them that look like one write.
  const auto run = [](bool covered) {
    Session session;
    const std::uint64_t begin = session.open();
    if (covered) session.arrive(begin, 40);
    for (const std::uint32_t at : {0, 10, 20}) session.arrive(begin + at, 10);
    session.observer.client(kMail);
    return session.trace();
  };
  CHECK(sizes(run(false)) == "10 10 10$");
  CHECK(run(true).segments.empty());
  CHECK(run(true).reason == Reason::Dropped);
}

TEST_CASE("a large message that was pipelined before leaves room for the next one's segments") {
  Session session({.segments = 100});
  for (const test::Turn& turn : test::opened()) {
    turn.client ? session.client(turn.bytes) : session.observer.server(turn.bytes);
  }
  const std::string first = "BDAT 3000 LAST\r\n" + std::string(3000, 'x');
  const std::string second =
      "MAIL FROM:<>\r\nRCPT TO:<x>\r\nBDAT 600 LAST\r\n" + std::string(600, 'y');
  // All of it arrives before the first byte is read.
  const std::string stream = first + second;
  const std::uint64_t begin = session.observer.client_offset();
  for (std::uint64_t at = 0; at < stream.size(); at += 10) {
    const std::uint64_t size = std::min<std::uint64_t>(10, stream.size() - at);
    session.arrive(begin + at, static_cast<std::uint32_t>(size));
  }
  for (std::size_t at = 0; at < stream.size(); at += 500) {
    session.observer.client(std::string_view(stream).substr(at, 500));
  }
  REQUIRE(session.sink.traces.size() == 2);
  CHECK(session.sink.traces[0].reason == Reason::Full);
  CHECK(session.sink.traces[0].segments.size() == 100);
  CHECK(session.sink.traces[1].state == State::Complete);
  CHECK(session.sink.traces[1].segments.size() == 61);
}

TEST_CASE("what an idle session keeps does not grow with the messages that it has sent") {
  Session session;
  session.open();
  for (int i = 0; i < 3000; ++i) session.client("x: y\r\n");
  CHECK(session.observer.memory_used() > 100'000);
  session.client(".\r\n");
  session.server("250 queued");
  CHECK(session.observer.memory_used() <= 1000);
}

TEST_CASE("the segment that opened the connection is not late, however late it is reported") {
  const std::vector<classifier::Span> spans = {{0, 30}};
  const std::vector<classifier::Tail> tails = {classifier::Tail::Other};
  for (const bool opening : {true, false}) {
    classifier::ArrivalLog log(10);
    log.keep({.offset = 10, .size = 20});
    log.keep({.offset = 0, .size = 10, .opening = opening});
    log.given(std::string(30, 'x'));
    Trace trace;
    log.fill(spans, tails, trace);
    REQUIRE(trace.segments.size() == 2);
    CHECK(trace.segments[0].late != opening);
    CHECK_FALSE(trace.segments[1].late);
  }
}

TEST_CASE("arrivals cost the same in any order") {
  // The work is a number of steps, not a time. 65,536 segments of one byte.
  constexpr std::uint32_t kMany = 65'536;
  const auto work = [](const std::function<void(classifier::ArrivalLog&)>& arrive,
                       std::size_t chunk) {
    classifier::ArrivalLog log(kMany);
    arrive(log);
    const std::string bytes(chunk, 'x');
    for (std::uint32_t at = 0; at < kMany; at += static_cast<std::uint32_t>(chunk))
      log.given(bytes);
    const std::vector<classifier::Span> spans = {{0, kMany}};
    const std::vector<classifier::Tail> tails = {classifier::Tail::Other};
    Trace trace;
    log.fill(spans, tails, trace);
    return log.work();
  };
  const auto each = [](std::uint32_t step) {
    return [step](classifier::ArrivalLog& log) {
      for (std::uint32_t i = 0; i < kMany; ++i) log.keep({.offset = i * step % kMany, .size = 1});
    };
  };
  const std::uint64_t in_order = work(each(1), kMany);
  CHECK(in_order == 3 * kMany);  // when it came, when it was read, when the message ended
  CHECK(work(each(1), 1) == in_order);
  CHECK(work(each(kMany - 1), kMany) == in_order);  // last first
  CHECK(work(each(40'503), 16) == in_order);        // in an arbitrary order
  const auto covered = [](classifier::ArrivalLog& log) {
    for (std::uint32_t i = 0; i < kMany; ++i)
      log.keep({.offset = i / 2, .size = i % 2 == 0 ? kMany : 1});
  };
  CHECK(work(covered, 1) <= in_order);
}

TEST_CASE("gaps count from the previous segment in the stream, and are never negative") {
  Session session;
  const std::uint64_t begin = session.open();
  session.arrive(begin + 10, 10);
  session.arrive(begin, 10);
  session.clock += 7'000'000'000'000;  // more than 32 bits of microseconds
  session.arrive(begin + 20, 10);
  session.observer.client(kMail);
  const Trace& trace = session.trace();
  CHECK(trace.segments[0].gap_us == 0);
  CHECK(trace.segments[1].gap_us == 0);
  CHECK(trace.segments[2].gap_us == UINT32_MAX);
}

TEST_CASE("the command before and the QUIT after share the message's segments") {
  Session session;
  for (const test::Turn& turn : test::opened()) {
    turn.client ? session.client(turn.bytes) : session.observer.server(turn.bytes);
  }
  session.client("BDAT 10 LAST\r\nA: b\r\n\r\nx\nQUIT\r\n");
  const Trace& trace = session.trace();
  CHECK(sizes(trace) == "14<10>6$");
  CHECK(trace.segments[0].payload() == 30);
  CHECK(trace.dialogue.quit_with_dot);
  CHECK(trace.transfer == classifier::Transfer::Bdat);
}

TEST_CASE("QUIT with the dot is seen though its bytes are given later") {
  Session session;
  const std::uint64_t begin = session.open();
  session.arrive(begin, static_cast<std::uint32_t>(kMail.size() + 6));
  session.observer.client(kMail);
  CHECK(sizes(session.trace()) == std::to_string(kMail.size()) + ">6$");
  CHECK(session.trace().dialogue.quit_with_dot);
}

TEST_CASE("an arrival that spans two chunks is two segments, and each knows its whole payload") {
  Session session;
  for (const test::Turn& turn : test::opened()) {
    turn.client ? session.client(turn.bytes) : session.observer.server(turn.bytes);
  }
  session.client("BDAT 6\r\nA: ");
  session.client("b\r\nBDAT 4 LAST\r\n\r\n");
  session.client("x\r");
  const Trace& trace = session.trace();
  CHECK(sizes(trace) == "8<3 3>15$ 16<2$ 2%");
  CHECK(trace.segments[1].payload() == 18);
  CHECK(trace.segments[2].payload() == 18);
  CHECK(trace.segments[2].gap_us == 0);
  CHECK(trace.size == 10);
  CHECK(trace.state == State::Complete);
}

TEST_CASE("a chunk that was not seen leaves a hole before the next one") {
  Session session;
  for (const test::Turn& turn : test::opened()) {
    turn.client ? session.client(turn.bytes) : session.observer.server(turn.bytes);
  }
  session.client("BDAT 6\r\nA: b\r\n");
  session.observer.client(std::string_view("BDAT 3\r\nabc"));
  session.client("BDAT 2 LAST\r\nde");
  CHECK(sizes(session.trace()) == "8<6$ _13<2");
  CHECK(session.trace().reason == Reason::Dropped);
}

TEST_CASE("a command in two segments stays with the session") {
  const auto split = [](const std::vector<std::string>& pieces, std::uint32_t mss) {
    Session session;
    session.observer.set_path({.mss = mss});
    session.server("220 mx");
    for (const std::string& piece : pieces) session.client(piece);
    session.server("250 ok");
    session.client("DATA\r\n");
    session.server("354 go");
    session.client(kMail);
    return session.trace().dialogue.split_command;
  };
  CHECK_FALSE(split({"EHLO a\r\n"}, 0));
  CHECK(split({"EHLO a", "\r\n"}, 0));
  CHECK(split({"EHLO a\r", "\n"}, 0));
  CHECK(split({"E", "HLO a\r\n"}, 0));
  // A full segment is cut by the network.
  CHECK_FALSE(split({"EHLO " + std::string(531, 'a'), "b\r\n"}, 0));
  CHECK(split({"EHLO " + std::string(531, 'a'), "b\r\n"}, 1448));
}

TEST_CASE("a copy of a command's bytes does not split it") {
  Session session;
  session.server("220 mx");
  session.arrive(0, 8);
  session.arrive(0, 4);
  session.observer.client(std::string_view("EHLO a\r\n"));
  session.server("250 ok");
  session.client("DATA\r\n");
  session.server("354 go");
  session.client(kMail);
  CHECK_FALSE(session.trace().dialogue.split_command);
}

TEST_CASE("with more segments than the limit, the trace describes the beginning and is partial") {
  Session session({.segments = 4});
  session.open();
  for (int i = 0; i < 10; ++i) session.client("x: y\r\n");
  session.client(".\r\n");
  CHECK(sizes(session.trace()) == "6$ 6$ 6$ 6$");
  CHECK(session.trace().state == State::Partial);
  CHECK(session.trace().reason == Reason::Full);

  // The next message starts again at nothing.
  session.server("250 queued");
  for (const std::string_view line : {"MAIL FROM:<>\r\n", "RCPT TO:<x>\r\n"}) {
    session.client(line);
    session.server("250 ok");
  }
  session.client("DATA\r\n");
  session.server("354 go");
  session.client(kMail);
  REQUIRE(session.sink.traces.size() == 2);
  CHECK(session.sink.traces[1].state == State::Complete);
  CHECK(session.sink.traces[1].message == 2);
}

TEST_CASE("chunks of a byte do not make more segments than the limit") {
  Session session({.segments = 4});
  for (const test::Turn& turn : test::opened()) {
    turn.client ? session.client(turn.bytes) : session.observer.server(turn.bytes);
  }
  std::string burst;
  for (int i = 0; i < 9; ++i) burst += "BDAT 1\r\nx";
  session.client(burst + "BDAT 1 LAST\r\nx");
  CHECK(session.trace().segments.size() == 4);
  CHECK(session.trace().reason == Reason::Full);
}

TEST_CASE("what the capture missed marks the next message only") {
  Session session;
  session.open();
  session.observer.missed_some();
  session.client(kMail);
  CHECK(session.trace().state == State::Partial);
  CHECK(session.trace().reason == Reason::Dropped);
  session.server("250 ok");
  session.client("DATA\r\n");
  session.server("354 go");
  session.client(kMail);
  REQUIRE(session.sink.traces.size() == 2);
  CHECK(session.sink.traces[1].state == State::Complete);
}

TEST_CASE("a lost session is reported once and keeps nothing") {
  Session session;
  session.open();
  session.client("x\r\n");
  session.server("250 what?");
  session.client("QUIT\r\n");
  session.server("221 bye");
  CHECK(session.observer.lost());
  CHECK(session.sink.losses == std::vector{Reason::Lost});
  CHECK(session.sink.traces.empty());
}

TEST_CASE("reads carry their number of segments, and path and answer are passed on") {
  Session session({}, Via::Read);
  session.observer.set_path({.mss = 1448, .rtt_us = 20000});
  session.open();
  session.observer.segment({.offset = session.observer.client_offset(),
                            .size = static_cast<std::uint32_t>(kMail.size()),
                            .count = 3});
  session.observer.client(kMail);
  session.server("250 queued");
  CHECK(session.trace().segments[0].count == 3);
  CHECK(session.trace().via == Via::Read);
  CHECK(session.trace().path.mss == 1448);
  CHECK(session.sink.answers == std::vector<std::uint32_t>{1});
}

TEST_CASE("bytes that are given in other pieces than they arrived in make the same trace") {
  const Script script =
      test::opened() +
      Script{
          raw("BDAT 14\r\nSubject: x\r\n\r\n"),
          S("250 14"),
          raw("BDAT 7\r\nbo\r\n.\r\nBDAT 4 LAST\r\ndy\r\nMAIL FROM:<>\r\nRCPT TO:<x>\r\nDATA\r\n"),
          S("250 7"),
          S("250 queued"),
          S("250 ok"),
          S("250 ok"),
          S("354 go"),
          raw(kMail),
          S("250 queued")};
  const std::string stream = test::client_stream(script);
  REQUIRE(rc::check("random arrivals, random pieces", [&] {
    std::vector<Arrival> arrivals;
    for (std::uint64_t at = 0; at < stream.size();) {
      const auto size = *rc::gen::inRange<std::uint32_t>(1, 40);
      const auto left = static_cast<std::uint32_t>(stream.size() - at);
      arrivals.push_back({.offset = at, .size = std::min(size, left), .time_ns = at * 1000});
      at += arrivals.back().size;
    }
    const auto run = [&](const std::function<std::size_t(std::size_t)>& next, bool repeat) {
      Collector sink;
      Observer observer(sink, Via::Pcap, {});
      for (const Arrival& arrival : arrivals) {
        observer.segment(arrival);
        if (repeat) observer.segment(arrival);
      }
      test::play(script, observer, next);
      return sink.traces;
    };
    const std::vector<Trace> whole = run(test::uncut, false);
    RC_ASSERT(whole.size() == 2U);
    RC_ASSERT(run([](std::size_t left) { return *rc::gen::inRange<std::size_t>(1, left + 1); },
                  false) == whole);
    std::vector<Trace> repeated = run(test::byte_by_byte, true);
    for (Trace& trace : repeated) {
      for (Segment& segment : trace.segments) {
        RC_ASSERT(segment.resent);
        segment.resent = false;
      }
    }
    RC_ASSERT(repeated == whole);

    std::uint64_t at = 0;
    for (const Trace& trace : whole) {
      RC_ASSERT(trace.state == State::Complete);
      at = 0;
      for (const Segment& segment : trace.segments) at += segment.size;
      RC_ASSERT(at == trace.size);
    }
  }));
}
