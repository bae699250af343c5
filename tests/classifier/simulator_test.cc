// First the simulator is compared with the recordings, with each of TCP's rules, and with the
// observer. Then the classifier is tested on simulated messages of which there are no recordings.
#include "tests/support/simulator.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <fstream>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/classify.h"
#include "classifier/features.h"
#include "classifier/trace_text.h"
#include "classifier/writes.h"

using namespace classifier;
using test::Letter;
using test::Link;
using test::Nagle;
using test::Program;
using test::Random;
using test::Stack;

namespace {

using Sizes = std::vector<std::uint32_t>;

Sizes sizes_of(const Trace& trace) {
  Sizes sizes;
  for (const Segment& segment : trace.segments) sizes.push_back(segment.size);
  return sizes;
}

std::uint32_t pick(Random& random, std::uint32_t least, std::uint32_t most) {
  return std::uniform_int_distribution<std::uint32_t>(least, most)(random);
}

// --- programs of the recordings, by name: the way in which each is known to write

struct Known {
  std::string_view program;
  std::function<Program(const Letter&, std::uint32_t mss, Stack&)> write;
};

Program as_mta(test::Mta mta, const Letter& letter, std::uint32_t mss, Stack& stack) {
  Random random(1);
  Program program = test::mta_program(mta, letter, mss, stack, random);
  for (test::Write& write : program.writes) write.pause_us = 5;
  program.quit = false;  // sizes count the message only
  return program;
}

std::vector<Known> known_programs() {
  const auto mta = [](test::Mta which) {
    return [which](const Letter& letter, std::uint32_t mss, Stack& stack) {
      return as_mta(which, letter, mss, stack);
    };
  };
  const auto blocks = [](std::uint32_t size) {
    return [size](const Letter& letter, std::uint32_t, Stack&) {
      return test::in_blocks(letter, size);
    };
  };
  return {
      {"postfix", mta(test::Mta::Postfix)},
      {"exim", mta(test::Mta::Exim)},
      {"sendmail", mta(test::Mta::Sendmail)},
      {"chasquid", mta(test::Mta::Chasquid)},
      {"qmail", mta(test::Mta::Qmail)},
      {"go-smtp", mta(test::Mta::Chasquid)},
      {"nullmailer", blocks(4096)},
      {"swaks", blocks(8192)},
      {"esmtp", blocks(2048)},
      {"py-smtplib", blocks(UINT32_MAX)},
      {"postal", [](const Letter& letter, std::uint32_t,
                    Stack&) { return test::cut_at(letter, {letter.marks.body_begin}); }},
  };
}

struct Recording {
  std::string program;
  std::string link;
  Trace trace;
};

// "# postfix, base, 18707 bytes", an expectation, and the trace.
std::vector<Recording> recordings() {
  std::vector<Recording> all;
  std::ifstream in("tests/data/recorded.trace");
  std::string line;
  Recording next;
  while (std::getline(in, line)) {
    const std::size_t first = line.find(", ");
    const std::size_t second = line.find(", ", first + 2);
    if (line.starts_with("# ") && second != line.npos) {
      next.program = line.substr(2, first - 2);
      next.link = line.substr(first + 2, second - first - 2);
    } else if (line.starts_with("segmilter/1")) {
      const auto result = parse_trace(line);
      REQUIRE(std::holds_alternative<Trace>(result));
      next.trace = std::get<Trace>(result);
      all.push_back(next);
    }
  }
  return all;
}

}  // namespace

TEST_CASE("the simulator makes the recorded segments of programs whose writes are known") {
  // Links without random events. Loss and moving paths are tested by rules below.
  const std::array<std::string_view, 5> links = {"base", "mss920", "mss920-nots", "mtu1440",
                                                 "rate256"};
  const std::vector<Known> programs = known_programs();
  int compared = 0;
  for (const Recording& recording : recordings()) {
    const auto known = std::find_if(programs.begin(), programs.end(), [&](const Known& one) {
      return one.program == recording.program;
    });
    if (known == programs.end()) continue;
    if (std::find(links.begin(), links.end(), recording.link) == links.end()) continue;
    Letter letter;
    letter.size = static_cast<std::uint32_t>(recording.trace.size);
    letter.marks = recording.trace.landmarks;
    letter.lines = {letter.size};
    Link link;
    link.mss = recording.trace.path.mss;
    link.rtt_us = recording.trace.path.rtt_us;
    if (recording.link == "rate256") link.rate = 256'000;
    Stack stack;
    Random random(1);
    const Program program = known->write(letter, link.mss, stack);
    const Trace simulated = test::simulate(letter, program, stack, link, random);
    CAPTURE(recording.program, recording.link, letter.size, print(simulated),
            print(recording.trace));
    CHECK(sizes_of(simulated) == sizes_of(recording.trace));
    ++compared;
  }
  CHECK(compared >= 15);
}

TEST_CASE("the stack's rules place the boundaries") {
  Letter letter;
  letter.size = 5000;
  letter.lines = {40, 304, 5000};
  letter.marks = {.header_end = 302, .body_begin = 304, .first_line_end = 40, .terminator = 3};
  struct Row {
    const char* why;
    Program program;
    Stack stack;
    Link link;
    Sizes sizes;
  };
  const Stack classic{.nagle = Nagle::Classic, .push_units = false, .unit = 44};
  const Stack off{.nagle = Nagle::Off};
  const Program lines = test::cut_at(letter, {40, 80, 120, 304});
  const Program blocks = test::in_blocks(letter, 2000);
  const Row rows[] = {
      {"one write", test::cut_at(letter, {}), {}, {}, {1448, 1448, 1448, 656}},
      {"Linux holds a short segment until an earlier short one is acknowledged",
       lines,
       {},
       {},
       {40, 1448, 1448, 1448, 616}},
      {"no Nagle, all show", lines, off, {}, {40, 40, 40, 184, 1448, 1448, 1448, 352}},
      {"Linux sends a write's short end at once after full segments",
       blocks,
       {},
       {},
       {1448, 552, 1448, 1448, 104}},
      {"no Nagle, blocks", blocks, off, {}, {1448, 552, 1448, 552, 1000}},
      {"a path of 948 that the SYN did not know",
       test::cut_at(letter, {}),
       {},
       {.changes = {{0, 948}}},
       {948, 948, 948, 52, 948, 500, 656}},
      {"a small window", test::cut_at(letter, {}), {}, {.window = 2000}, {1448, 1448, 1448, 656}},
  };
  for (const Row& row : rows) {
    Random random(1);
    CAPTURE(row.why);
    CHECK(sizes_of(test::simulate(letter, row.program, row.stack, row.link, random)) == row.sizes);
  }
  SECTION("the classic rule holds a write's short end too, where Linux sends it") {
    Random random(1);
    const Trace trace = test::simulate(letter, blocks, classic, {}, random);
    CHECK(sizes_of(trace) == Sizes{1448, 1448, 1448, 656});
  }
  SECTION("PSH is at a write's end, and on Linux at every unit of two") {
    Random random(1);
    const auto pushes = [&](const Stack& stack) {
      std::string text;
      for (const Segment& segment :
           test::simulate(letter, test::cut_at(letter, {}), stack, {}, random).segments) {
        text += segment.push ? 'p' : '-';
      }
      return text;
    };
    CHECK(pushes({}) == "-p-p");
    CHECK(pushes(classic) == "---p");
  }
}

TEST_CASE("lost segments come again, late, and the trace has every byte once") {
  Random random(7);
  int late = 0;
  int resent = 0;
  for (int i = 0; i < 60; ++i) {
    const Letter letter = test::write_letter(random, 8, 20'000, true);
    const Trace trace = test::simulate(letter, test::in_blocks(letter, 4096), {},
                                       {.loss = 0.05, .jitter_us = 3'000}, random);
    std::uint64_t sum = 0;
    for (const Segment& segment : trace.segments) {
      sum += segment.size;
      late += segment.late;
      resent += segment.resent;
    }
    CHECK(sum == letter.size);
  }
  CHECK(late > 50);
  CHECK(resent > 0);
}

namespace {

struct Collector final : Observer::Sink {
  std::vector<Trace> traces;
  void message(classifier::ObservedMessage&& message) override {
    traces.push_back(std::move(message.trace));
  }
  void answered(std::uint32_t) override {}
  void lost(Reason) override {}
};

Trace observe(const Letter& letter, const std::vector<Arrival>& arrivals, bool quit) {
  Collector sink;
  Observer observer(sink, Via::Kernel, {});
  const auto server = [&](std::string_view line) { observer.server(line); };
  const auto client = [&](std::string_view bytes) {
    observer.segment({.offset = observer.client_offset(),
                      .size = static_cast<std::uint32_t>(bytes.size()),
                      .time_ns = 1,
                      .push = true});
    observer.client(bytes);
  };
  server("220 mx ESMTP\r\n");
  client("EHLO a.example\r\n");
  server("250 mx\r\n");
  client("MAIL FROM:<a@a.example>\r\n");
  server("250 ok\r\n");
  client("RCPT TO:<b@b.example>\r\n");
  server("250 ok\r\n");
  client("DATA\r\n");
  server("354 go\r\n");
  const std::uint64_t begin = observer.client_offset();
  for (Arrival arrival : arrivals) {
    arrival.offset += begin;
    observer.segment(arrival);
  }
  observer.client(test::text_of(letter) + (quit ? "QUIT\r\n" : ""));
  REQUIRE(sink.traces.size() == 1);
  return sink.traces.front();
}

}  // namespace

TEST_CASE("the observer makes the same trace of the arrivals") {
  Random random(3);
  for (int i = 0; i < 100; ++i) {
    const Letter letter = test::write_letter(random, pick(random, 1, 20), 6'000, i % 2 == 0);
    Link link = test::random_link(random);
    Stack stack = test::random_stack(random);
    const auto mta = static_cast<test::Mta>(i % test::kMtas);
    const Program program = test::mta_program(mta, letter, link.mss, stack, random);
    const std::vector<Arrival> arrivals = test::send(program, stack, link, random);
    const Trace fast = test::trace_of(arrivals, letter, link);
    const Trace slow = observe(letter, arrivals, program.quit);
    CAPTURE(i, print(fast), print(slow));
    REQUIRE(fast.size == slow.size);
    REQUIRE(fast.landmarks == slow.landmarks);
    REQUIRE(fast.segments.size() == slow.segments.size());
    for (std::size_t s = 0; s < fast.segments.size(); ++s) {
      Segment a = fast.segments[s];
      Segment b = slow.segments[s];
      a.gap_us = b.gap_us = 0;  // the observer's first gap is the session's
      CHECK(a == b);
    }
  }
}

// --- the classifier

namespace {

struct Case {
  std::string name;
  Letter letter;
  Program program;
  Stack stack;
  Writer writer = Writer::Unknown;
  std::uint32_t block = 0;
};

// A program of any kind with its letter, but none whose block is a whole number of segments.
std::optional<Case> any_case(Random& random, std::uint32_t mss) {
  Case one;
  one.letter = test::write_letter(random, pick(random, 4, 25), pick(random, 2'000, 30'000),
                                  pick(random, 0, 1) != 0);
  const Letter& letter = one.letter;
  const Landmarks& marks = letter.marks;
  const bool no_delay = pick(random, 0, 3) == 0;
  if (no_delay) one.stack.nagle = Nagle::Off;
  if (pick(random, 0, 9) < 2) {
    one.stack = {
        .nagle = Nagle::Classic, .push_units = false, .push_half_window = false, .unit = 44};
  }
  switch (pick(random, 0, 5)) {
    case 0:
      one.program = test::cut_at(letter, {});
      one.writer = Writer::Stream;
      break;
    case 1: {
      constexpr std::array<std::uint32_t, 4> kSizes = {1024, 2048, 4096, kEximBlock};
      one.block = kSizes[pick(random, 0, 3)];
      if (letter.size <= one.block + 8 || one.block % mss == 0) return std::nullopt;
      // With the classic rule, blocks larger than a segment lose their ends and look like a stream.
      if (one.stack.nagle == Nagle::Classic && one.block > mss) return std::nullopt;
      one.program = test::in_blocks(letter, one.block, pick(random, 0, 1) != 0);
      one.writer = Writer::Blocks;
      break;
    }
    case 2:
      one.program = test::by_line(letter);
      one.writer = Writer::Lines;
      break;
    case 3:
      one.program = test::cut_at(letter, {marks.body_begin});
      one.writer = Writer::HeadersApart;
      break;
    case 4: {
      const std::uint32_t begin = marks.fields[1].end + 9;
      one.program = test::cut_at(letter, {begin, begin + 5, marks.fields[2].end + 7});
      one.writer = Writer::Template;
      break;
    }
    default:
      one.program = test::cut_at(letter, {letter.size - marks.terminator});
      one.writer = Writer::Stream;
  }
  for (test::Write& write : one.program.writes) write.pause_us = pick(random, 2, 40);
  return one;
}

bool ends_write(const Program& program, std::uint32_t offset) {
  std::uint64_t end = 0;
  for (const test::Write& write : program.writes) {
    end += write.size;
    if (end >= offset) return end == offset;
  }
  return false;
}

// Does the end of any write still show, except the terminator's?
bool shows_an_end(const Case& one, const Trace& trace) {
  if (one.writer == Writer::Stream) return true;
  std::uint32_t offset = 0;
  for (const Segment& segment : trace.segments) {
    offset += segment.size;
    if (offset + 5 >= one.letter.size) return false;
    if (ends_write(one.program, offset)) return true;
  }
  return false;
}

struct Condition {
  const char* name;
  Link link;
  double writers;  // least share of right writers, of messages with three segments or more
};

std::vector<Condition> conditions() {
  Link fluct{.mss = 1400, .timestamps = false, .rate = 1'000'000, .at_sender = true};
  for (std::uint64_t i = 0; i < 60; ++i)
    fluct.changes.push_back({i * 50'000, i % 2 ? 1400U : 536U});
  // The same of messages that still show the end of a write.
  return {
      {"base", {}, 0.99},
      {"round trip of 200 ms", {.rtt_us = 200'000}, 0.99},
      {"round trip of 0.06 ms", {.rtt_us = 60}, 0.99},
      {"5 % lost", {.loss = 0.05}, 0.99},
      {"2 % lost at 256 kbit/s", {.rate = 256'000, .loss = 0.02}, 0.99},
      {"30 ms of jitter", {.jitter_us = 30'000}, 0.99},
      {"MSS 536", {.mss = 536, .timestamps = false}, 0.99},
      {"path MTU below the MSS", {.changes = {{0, 948}}}, 0.99},
      {"path MTU falls on the way", {.changes = {{30'000, 1220}}}, 0.97},
      {"path MTU falls without a message about it",
       {.changes = {{0, 948}}, .tells_mtu = false},
       0.99},
      {"path moves between 536 and 1400", fluct, 0.99},
      {"a window of ten segments", {.window = 14'480}, 0.99},
  };
}

}  // namespace

TEST_CASE("a boundary that counts was made by a write, on any link") {
  for (const Condition& condition : conditions()) {
    Random random(11);
    int believed = 0;
    int wrong = 0;
    for (int i = 0; i < 150; ++i) {
      const auto one = any_case(random, condition.link.mss);
      if (!one) continue;
      const Trace trace =
          test::simulate(one->letter, one->program, one->stack, condition.link, random);
      for (const Boundary& boundary : recover_writes(trace).boundaries) {
        if (boundary.confidence < kEvident) continue;
        ++believed;
        wrong += !ends_write(one->program, boundary.offset);
      }
    }
    CAPTURE(condition.name, believed, wrong);
    CHECK(believed > 100);
    CHECK(wrong * 50 <= believed);
  }
}

TEST_CASE("a short segment at a write's end is found, unless the trace shows why not") {
  for (const Condition& condition : conditions()) {
    Random random(12);
    int ends = 0;
    int missed = 0;
    for (int i = 0; i < 150; ++i) {
      const auto one = any_case(random, condition.link.mss);
      if (!one) continue;
      const Trace trace =
          test::simulate(one->letter, one->program, one->stack, condition.link, random);
      const Writes writes = recover_writes(trace);
      std::uint32_t offset = 0;
      for (std::size_t s = 0; s + 1 < trace.segments.size(); ++s) {
        const Segment& segment = trace.segments[s];
        offset += segment.size;
        const bool excused = segment.resent || segment.late || writes.segment.other != 0 ||
                             writes.segment.announced != 0;
        if (excused || segment.payload() >= writes.full) continue;
        if (!ends_write(one->program, offset)) continue;
        ++ends;
        missed += std::none_of(
            writes.boundaries.begin(), writes.boundaries.end(), [&](const Boundary& boundary) {
              return boundary.offset == offset && boundary.confidence >= kEvident;
            });
      }
    }
    CAPTURE(condition.name, ends, missed);
    CHECK(missed * 50 <= ends);
  }
}

TEST_CASE("writers are found on links that were not recorded, as often as the confidence says") {
  double off = 0;  // sum over all links of |accuracy - confidence|, weighted
  int all = 0;
  std::array<std::array<double, 3>, 10> bins{};
  for (const Condition& condition : conditions()) {
    Random random(13);
    int right = 0;
    int judged = 0;
    int false_bots = 0;
    int guesses = 0;
    for (int i = 0; i < 250; ++i) {
      const auto one = any_case(random, condition.link.mss);
      if (!one) continue;
      const Trace trace =
          test::simulate(one->letter, one->program, one->stack, condition.link, random);
      if (trace.segments.size() < 3) continue;
      const Verdict verdict = classify(trace, {});
      if (!shows_an_end(*one, trace)) {
        // Here the path has made a stream of it, so any other name would be a guess.
        guesses += verdict.writer != Writer::Stream && verdict.writer != Writer::Unknown;
        continue;
      }
      const bool match = verdict.writer == one->writer;
      ++judged;
      right += match;
      const bool is_bot = one->writer == Writer::Template || one->writer == Writer::HeadersApart;
      const bool called_bot =
          verdict.pattern == Pattern::BotTemplate || verdict.pattern == Pattern::BotHeadersApart;
      false_bots += called_bot && !is_bot;
      if (verdict.writer == Writer::Unknown) continue;
      const auto bin = std::min<std::size_t>(9, static_cast<std::size_t>(verdict.confidence * 10));
      bins[bin][0] += 1;
      bins[bin][1] += match;
      bins[bin][2] += verdict.confidence;
      ++all;
    }
    CAPTURE(condition.name, right, judged, guesses);
    CHECK(guesses * 100 <= judged);
    CHECK(right >= condition.writers * judged);
    CHECK(false_bots == 0);
  }
  for (const auto& [count, right, confidence] : bins) off += std::abs(right - confidence);
  CHECK(off / all <= 0.05);
}
