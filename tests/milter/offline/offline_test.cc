#include "milter/offline/offline.h"

#include <unistd.h>
#include <catch2/catch.hpp>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "tests/support/capture_builder.h"
#include "tests/support/packed.h"

namespace {

using namespace support;
using offline::Outcome;
using offline::Result;

// A temporary file that is deleted after the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& bytes) {
    char name[] = "/tmp/segmilter-test.XXXXXX";
    close(mkstemp(name));
    path_ = name;
    write(bytes);
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

struct Read {
  Outcome outcome;
  std::vector<Result> results;
};

Read classify(const std::string& path) {
  Read out;
  out.outcome =
      offline::classify_file(path, {}, [&](Result&& result) { out.results.push_back(result); });
  CHECK(out.outcome.messages == out.results.size());
  return out;
}

Read classify_bytes(const std::string& bytes) {
  return classify(TemporaryFile(bytes).path());
}

std::string small_capture() {
  Conversation talk;
  talk.open();
  talk.greet();
  std::string text = "From: a@example.net\r\nSubject: x\r\n\r\n";
  while (text.size() < 4000) text += "yyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n";
  talk.send(text + ".\r\n", 1460);
  talk.server("250 queued\r\n");
  talk.next_message();
  talk.client(text.substr(0, 33), 0x18);
  talk.send(text.substr(33) + ".\r\n", 1460);
  talk.close();
  PcapFile file(1);
  for (const Packet& packet : talk.packets) file.frame(ethernet(packet.ip()));
  return file.bytes();
}

}  // namespace

TEST_CASE("a capture gives one result for each message, in order") {
  const Read got = classify_bytes(small_capture());
  CHECK(got.outcome.kind == Outcome::Kind::Good);
  CHECK(got.outcome.warning.empty());
  CHECK(got.outcome.bytes == small_capture().size());
  REQUIRE(got.results.size() == 2);
  CHECK(got.results[0].message == 1);
  CHECK(got.results[1].message == 2);
  CHECK(got.results[0].client.print() == "192.0.2.1:40000");
  CHECK(got.results[0].server.print() == "198.51.100.1:25");
  CHECK(got.results[1].trace.segments.front().size == 33);
}

TEST_CASE(
    "a list of traces gives one result for each trace; comments and empty lines are skipped") {
  const Read got = classify_bytes(
      "# two\n\nsegmilter/1 mss=1448 dot=3 seg=1448x9,331+6pn\r\nsegmilter/1 msg=2 seg=9n");
  CHECK(got.outcome.kind == Outcome::Kind::Good);
  REQUIRE(got.results.size() == 2);
  CHECK(got.results[0].trace.segments.size() == 10);
  CHECK(got.results[1].message == 2);
  CHECK(got.results[0].client.port() == 0);
}

TEST_CASE("a line that is not a trace gives a warning with its number") {
  const Read got = classify_bytes("segmilter/1 seg=9n\nsegmilter/1 seg=x\nnothing\n");
  CHECK(got.outcome.kind == Outcome::Kind::Damaged);
  CHECK(got.results.size() == 1);
  CHECK_THAT(got.outcome.warning, Catch::Contains(":2: ") && Catch::Contains("1 more"));
}

TEST_CASE(
    "a compressed capture gives the same messages, and a truncated one those before the cut") {
  const auto pack = GENERATE(&gzip, &zstd, &xz);
  const Read plain = classify_bytes(small_capture());
  REQUIRE(plain.results.size() == 2);
  const std::string packed = pack(small_capture());
  const Read got = classify_bytes(packed);
  CHECK(got.outcome.kind == Outcome::Kind::Good);
  REQUIRE(got.results.size() == 2);
  CHECK(got.results[1].trace == plain.results[1].trace);
  const Read cut = classify_bytes(packed.substr(0, packed.size() - 9));
  CHECK(cut.outcome.kind != Outcome::Kind::Good);
  CHECK_THAT(cut.outcome.warning, Catch::Contains("truncated"));
}

TEST_CASE("other compressed files are named") {
  CHECK_THAT(classify_bytes(gzip("hello")).outcome.warning, Catch::Contains("without a capture"));
  CHECK_THAT(classify_bytes(gzip("GMBU")).outcome.warning, Catch::Contains("Network Monitor 2"));
  CHECK_THAT(classify_bytes("BZh91AY").outcome.warning, Catch::Contains("bzip2 -dc"));
}

TEST_CASE("a capture without a message has a note that says why, and is not damaged") {
  Conversation talk;
  talk.open();
  PcapFile file(1);
  for (const Packet& packet : talk.packets) file.frame(ethernet(packet.ip()));
  const Read got = classify_bytes(file.bytes());
  CHECK(got.outcome.kind == Outcome::Kind::Good);
  CHECK_THAT(got.outcome.warning, Catch::Contains("no message: 3 packets to or from port 25"));
}

TEST_CASE("other files are unreadable, with the reason") {
  struct Row {
    const char* what;
    std::string bytes;
  };
  PcapFile unknown(6);
  unknown.frame("token ring");
  const Row rows[] = {
      {"empty", ""},
      {"text", "hello\n"},
      {"only bad traces", "segmilter/1 seg=x\n"},
      {"a capture's magic and no more", std::string("\xd4\xc3\xb2\xa1")},
      {"an unknown link type", unknown.bytes()},
      {"zeros", std::string(1000, '\0')},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const Read got = classify_bytes(row.bytes);
    CHECK(got.outcome.kind == Outcome::Kind::Unreadable);
    CHECK_FALSE(got.outcome.warning.empty());
    CHECK(got.results.empty());
  }
  CHECK(classify("/nonexistent/file").outcome.kind == Outcome::Kind::Unreadable);
  CHECK(classify("/tmp").outcome.kind == Outcome::Kind::Unreadable);
}

TEST_CASE("a log gives one result for each line with a trace; other lines are counted") {
  const std::string prefix = "2026-11-27T07:00:00.123Z segmilter/filter[71] ";
  const Read got = classify_bytes(
      "Nov 27 06:59:59 mx1 postfix/smtpd[9]: connect from x\n" + prefix +
      "info: 4A: message client=192.0.2.7:40112 helo=a\n" + prefix +
      "debug: 4A: trace client=192.0.2.7:40112 helo=a trace=\"segmilter/1 msg=2 seg=9n\"\n");
  CHECK(got.outcome.kind == Outcome::Kind::Good);
  CHECK_THAT(got.outcome.warning, Catch::EndsWith(": 2 lines without a trace were skipped"));
  REQUIRE(got.results.size() == 1);
  CHECK(got.results[0].client.print() == "192.0.2.7:40112");
  CHECK(got.results[0].helo == "a");
  CHECK(got.results[0].message == 2);
  CHECK(got.results[0].time_ns == 1'795'762'800'123'000'000);
}

TEST_CASE("a log without a trace is not an error, and the note says how to log traces") {
  const Read got = classify_bytes("Nov 27 06:59:59 mx1 segmilter[70]: started\n");
  CHECK(got.outcome.kind == Outcome::Kind::Good);
  CHECK_THAT(got.outcome.warning, Catch::Contains("none of 1 lines has a trace") &&
                                      Catch::Contains("log.level is \"debug\""));
}

TEST_CASE("a log line whose trace is malformed gives a warning with its number") {
  const Read got =
      classify_bytes("4A: trace trace=\"segmilter/1 seg=9n\"\n4B: trace trace=segmilter/9\n");
  CHECK(got.outcome.kind == Outcome::Kind::Damaged);
  CHECK(got.results.size() == 1);
  CHECK_THAT(got.outcome.warning, Catch::Contains(":2: byte "));
}

TEST_CASE("a result has the time at which its message was complete, and the EHLO name") {
  const Read got = classify_bytes(small_capture());
  REQUIRE(got.results.size() == 2);
  CHECK(got.results[0].helo == "client.example.net");
  // Frames are a second apart; the dot of the first message is in the 15th.
  CHECK(got.results[0].time_ns == 1'700'000'015'000'000'000);
  CHECK(got.results[1].time_ns > got.results[0].time_ns);
}

TEST_CASE("a result has the filter's decision, by the thresholds and [policy]") {
  using classifier::Action;
  const TemporaryFile file(
      "segmilter/1 mss=1448 dot=3 seg=900pn\n"
      "segmilter/1 state=unobserved reason=lost\n"
      "segmilter/1 mss=1440 line1=19 header=610 body=612 dot=3 fields=19,380,430,480,610 "
      "seg=399p,29p,184pn,1440,1377pn\n");
  offline::Options options;
  options.policy.min_confidence = 0;
  options.policy.tempfail = -1000;
  options.enforcement.on_unobserved = config::Enforcement::Fallback::Tempfail;
  const auto decisions = [&] {
    std::vector<policy::Decision> all;
    (void)offline::classify_file(file.path(), options,
                                 [&](Result&& result) { all.push_back(result.decision); });
    return all;
  };
  const policy::Decision monitored{Action::None, Action::Tempfail, policy::HeldBackBy::Monitor};
  CHECK(decisions() == std::vector<policy::Decision>{{}, monitored, monitored});
  options.enforcement.mode = config::Enforcement::Mode::Enforce;
  const policy::Decision done{Action::Tempfail, Action::Tempfail, policy::HeldBackBy::None};
  CHECK(decisions() == std::vector<policy::Decision>{{}, done, done});
  options.enforcement.tempfail_percent = 0;
  const policy::Decision outside{Action::None, Action::Tempfail, policy::HeldBackBy::Percent};
  CHECK(decisions() == std::vector<policy::Decision>{{}, outside, outside});
}

TEST_CASE("an input can be stopped, and the results up to then are given") {
  const TemporaryFile file(small_capture());
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const net::Fd stop(ends[0]);
  const net::Fd asks(ends[1]);
  offline::Options options;
  options.waiting.stop = stop.get();
  const auto read = [&] { return offline::classify_file(file.path(), options, [](Result&&) {}); };
  CHECK(read().messages == 2);
  REQUIRE(write(asks.get(), "", 1) == 1);
  const Outcome stopped = read();
  CHECK(stopped.stopped);
  CHECK(stopped.kind == Outcome::Kind::Good);
  CHECK(stopped.messages == 0);
  CHECK_THAT(stopped.warning, Catch::Contains("stopped after byte 0 of"));
}

TEST_CASE(
    "a capture that is cut anywhere gives the messages before the cut, and says where it is") {
  const std::string whole = small_capture();
  for (std::size_t size = 25; size < whole.size(); size += 61) {
    INFO("cut at " << size);
    const Read got = classify_bytes(whole.substr(0, size));
    CHECK(got.outcome.kind != Outcome::Kind::Unreadable);
    CHECK(got.results.size() <= 2);
    if (got.outcome.kind == Outcome::Kind::Damaged) {
      CHECK_THAT(got.outcome.warning, Catch::Contains("offset"));
    }
  }
}

TEST_CASE("reading ends for a thousand mutated captures, each in bounded time") {
  const std::string whole = small_capture();
  std::mt19937 random(20140924);
  const TemporaryFile file("");
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = whole;
    const auto at = [&](std::size_t from) { return from + random() % (bytes.size() - from); };
    const int changes = 1 + static_cast<int>(random() % 20);
    for (int i = 0; i < changes; ++i) {
      // Most mutations leave the file's header intact, so that the packets are read.
      const std::size_t from = random() % 8 == 0 ? 0 : 24;
      switch (random() % 5) {
        case 0:
          bytes[at(from)] = static_cast<char>(random());
          break;
        case 1:
          bytes[at(from)] ^= static_cast<char>(1U << random() % 8);
          break;
        case 2:
          bytes.erase(at(from), 1 + random() % 40);
          break;
        case 3:
          bytes.insert(at(from), bytes.substr(at(0), random() % 200));
          break;
        default:
          bytes.replace(at(from), 0, 1 + random() % 8, static_cast<char>(random()));
      }
      if (bytes.size() < 64) bytes = whole;
    }
    file.write(bytes);
    INFO("round " << round);
    const std::clock_t began = std::clock();
    const Read got = classify(file.path());
    CHECK((std::clock() - began) / CLOCKS_PER_SEC < 5);
    CHECK((got.outcome.kind == Outcome::Kind::Good || !got.outcome.warning.empty()));
  }
}
