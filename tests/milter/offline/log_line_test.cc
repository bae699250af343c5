#include "milter/offline/log_line.h"

#include <catch2/catch.hpp>

#include <string>

using offline::read_log_line;

namespace {

constexpr std::uint64_t kTime = 1'795'762'800'123'000'000;
const std::string kEvent =
    "4AbCdE: trace client=192.0.2.7:40112 helo=\"a b\\\"\\\\\\xff\" reasons=\"x; y\" "
    "trace=\"segmilter/1 seg=9n\"";

}  // namespace

TEST_CASE("a trace is read from each form of the log") {
  struct Row {
    const char* what;
    std::string line;
    std::uint64_t time_ns;
  };
  const std::string own = "2026-11-27T07:00:00.123Z segmilter/filter[71] debug: ";
  const Row rows[] = {
      {"standard error", own + kEvent, kTime},
      {"syslog of old", "Nov 27 07:00:00 mx1 segmilter/filter[71]: " + kEvent, 0},
      {"syslog of old, a day of one digit", "Nov  7 07:00:00 mx1 segmilter/filter[71]: " + kEvent,
       0},
      {"syslog with RFC 3339",
       "2026-11-27T08:00:00.123000+01:00 mx1 segmilter/filter[71]: " + kEvent, kTime},
      {"the journal around standard error", "Nov 27 07:00:00 mx1 segmilter[70]: " + own + kEvent,
       kTime},
      {"no prefix", kEvent, 0},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto line = read_log_line(row.line);
    REQUIRE(line);
    CHECK(line->trace == "segmilter/1 seg=9n");
    CHECK(line->client.print() == "192.0.2.7:40112");
    CHECK(line->helo == "a b\"\\\xff");
    CHECK(line->time_ns == row.time_ns);
  }
}

TEST_CASE("a trace is read from the log's JSON, and from classify's own JSON") {
  const std::string json =
      R"({"time":"2026-11-27T07:00:00.123Z","level":"debug","process":"filter","pid":71,)"
      R"("event":"trace","queue_id":"4AbC","client":"192.0.2.7:40112","helo":"a",)"
      R"("trace":"segmilter/1 seg=9n"})";
  for (const std::string& text : {json, "Nov 27 07:00:00 mx1 segmilter/filter[71]: " + json}) {
    INFO(text);
    const auto line = read_log_line(text);
    REQUIRE(line);
    CHECK(line->trace == "segmilter/1 seg=9n");
    CHECK(line->client.print() == "192.0.2.7:40112");
    CHECK(line->helo == "a");
    CHECK(line->time_ns == kTime);
  }
}

TEST_CASE("a line of segmilter without a trace is distinguished from other programs' lines") {
  struct Row {
    const char* what;
    std::string line;
    bool ours;
  };
  const Row rows[] = {
      {"a message", "2026-11-27T07:00:00.123Z segmilter/filter[71] info: 4A: message client=a",
       true},
      {"a start", "Nov 27 07:00:00 mx1 segmilter[70]: started", true},
      {"JSON", R"({"time":"2026-11-27T07:00:00.123Z","level":"info","process":"filter"})", true},
      {"Postfix", "Nov 27 07:00:00 mx1 postfix/smtpd[9]: 4A: client=x", false},
      {"a program of a similar name", "Nov 27 07:00:00 mx1 segmilterd[9]: 4A: trace trace=x",
       false},
      {"other JSON", R"({"a":1})", false},
      {"JSON that ends too early", R"({"trace":"segmilter/1 seg)", false},
      {"prose", "hello world", false},
      {"nothing", "", false},
      {"a time and nothing", "2026-11-27T07:00:00.123Z", false},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto line = read_log_line(row.line);
    CHECK(line.has_value() == row.ours);
    if (line) CHECK(line->trace.empty());
  }
}

TEST_CASE("text from a client cannot pass for a trace") {
  const std::string forged = "4A: trace trace=\\\"segmilter/1 seg=1n\\\"";
  const std::string lines[] = {
      // Another program's line quotes a trace.
      "Nov 27 07:00:00 mx1 postfix/smtpd[9]: helo=<segmilter/filter[1]: " + kEvent + ">",
      // segmilter's own line, which has no trace, quotes one.
      "2026-11-27T07:00:00.123Z segmilter/filter[71] info: 4A: message helo=\"" + forged + "\"",
      "2026-11-27T07:00:00.123Z segmilter/filter[71] debug: 4A: trace helo=\" trace=segmilter/1\"",
      "2026-11-27T07:00:00.123Z segmilter/filter[71] debug: 4A: trace helo=\"no end trace=x",
  };
  for (const std::string& text : lines) {
    INFO(text);
    const auto line = read_log_line(text);
    CHECK((!line || line->trace.empty()));
  }
}
