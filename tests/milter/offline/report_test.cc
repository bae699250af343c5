#include "milter/offline/report.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "classifier/trace_text.h"
#include "milter/page/strip.h"

namespace {

using namespace offline;
using page::strip;

Result result_of(const std::string& notation, const std::string& file = "mail.pcap") {
  Result result;
  result.file = file;
  result.trace = std::get<classifier::Trace>(classifier::parse_trace(notation));
  result.verdict = classifier::classify(result.trace, {});
  result.client = *net::Endpoint::parse("192.0.2.1:40000");
  result.server = *net::Endpoint::parse("[2001:db8::1]:25");
  result.helo = "mail.example.net";
  result.time_ns = 1'795'762'800'123'456'789;
  return result;
}

const std::string kBot =
    "segmilter/1 mss=1440 line1=19 header=610 body=612 dot=3 fields=19,380,610 "
    "seg=399p,29p,184pn,1440,1377pn";

// What a report prints of these results.
template <typename Make>
std::string printed(Make make, const std::vector<Result>& results) {
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = open_memstream(&text, &size);
  const auto report = make(out);
  report->begin();
  for (const Result& result : results) report->message(result);
  report->end();
  std::fclose(out);
  std::string got(text, size);
  std::free(text);
  return got;
}

const auto kText = [](std::FILE* out) { return text_report(out, false); };
const auto kColours = [](std::FILE* out) { return text_report(out, true); };

const auto kPage = [](std::FILE* out) { return html_report(out, SortBy::Capture); };

const std::string kHostile = "<script>alert('1')</script>&\x1b[31m\xff.pcap";

}  // namespace

TEST_CASE("each form shows a class in place of a name, and none if nothing is known") {
  const Result result = result_of(
      "segmilter/1 tls=yes version=0304 window=inferred mss=1448 rtt=40000 "
      "talk=ehlo,quit-with-dot,rcpt-ahead,data-ahead seg=1448x3,1009 rec=5297+6");
  CHECK(nlohmann::json::parse(printed(jsonl_report, {result}))["class"] == "official-mta");
  CHECK(printed(kText, {result}).find("  class=official-mta") != std::string::npos);
  CHECK(printed(kPage, {result}).find("<dt>class</dt><dd><bdi>official-mta</bdi></dd>") !=
        std::string::npos);
  CHECK(nlohmann::json::parse(printed(jsonl_report, {result_of(kBot)}))["class"].is_null());
}

TEST_CASE("a line of JSON has every promised key") {
  const std::string line = printed(jsonl_report, {result_of(kBot)});
  REQUIRE(std::count(line.begin(), line.end(), '\n') == 1);
  const auto json = nlohmann::json::parse(line);
  for (const char* key :
       {"file",     "client", "server",  "message",    "pattern",  "writer", "path",
        "time",     "helo",   "number",  "confidence", "score",    "action", "gait",
        "class",    "block",  "mss",     "tls",        "chunking", "size",   "header_size",
        "segments", "writes", "reasons", "trace"}) {
    INFO(key);
    CHECK(json.contains(key));
  }
  CHECK(json["client"] == "192.0.2.1:40000");
  CHECK(json["server"] == "[2001:db8::1]:25");
  CHECK(json["pattern"] == "bot-template");
  CHECK(json["segments"] == std::vector<int>{399, 29, 184, 1440, 1377});
  CHECK(json["header_size"] == 610);
  CHECK(json["size"] == 3429);
  CHECK(json["trace"] == kBot);
  CHECK(json["tls"] == false);
  CHECK(json["helo"] == "mail.example.net");
  CHECK(json["time"] == "2026-11-27T07:00:00.123Z");
}

TEST_CASE("unknown values are null in JSON") {
  Result result = result_of(kBot);
  result.client = result.server = {};
  result.helo.clear();
  result.time_ns = 0;
  const auto json = nlohmann::json::parse(printed(jsonl_report, {result}));
  for (const char* key : {"client", "server", "helo", "time"}) {
    INFO(key);
    CHECK(json[key].is_null());
  }
}

TEST_CASE("a name from a client is shown as text, whatever it contains") {
  Result result = result_of(kBot);
  result.helo = "<b>\"x\x1b[31m\xe2\x80\xae\xc2\x9b\xff";
  const auto json = nlohmann::json::parse(printed(jsonl_report, {result}));
  CHECK(json["helo"] == "<b>\"x\x1b[31m\xe2\x80\xae\xc2\x9b\xef\xbf\xbd");
  const std::string text = printed(kText, {result});
  CHECK_THAT(text, Catch::Contains("helo=<b>\"x\\x1b[31m\\xe2\\x80\\xae\\xc2\\x9b\\xff"));
  const std::string page = printed(kPage, {result});
  CHECK_THAT(page,
             Catch::Contains("<bdi>&lt;b&gt;&quot;x\\u001b[31m\\u202e\\u009b\xef\xbf\xbd</bdi>"));
}

TEST_CASE("a file name that is not UTF-8 still gives valid JSON") {
  const auto json = nlohmann::json::parse(printed(jsonl_report, {result_of(kBot, kHostile)}));
  CHECK_THAT(json["file"].get<std::string>(), Catch::Contains("script"));
}

TEST_CASE("the table has a row, a strip, sizes and reasons") {
  const std::string text = printed(kText, {result_of(kBot), result_of("segmilter/1 seg=9n")});
  CHECK_THAT(text, Catch::Contains("bot-template") && Catch::Contains("399,29,184,1440,1377"));
  CHECK_THAT(text, Catch::Contains("2 messages: 1 bot-template, 1 indistinct"));
  CHECK_THAT(text, !Catch::Contains("\x1b"));
  CHECK_THAT(printed(kText, {}), Catch::Contains("no messages"));
}

TEST_CASE("colours are used only on request, and a name cannot add its own") {
  CHECK_THAT(printed(kColours, {result_of(kBot)}), Catch::Contains("\x1b["));
  CHECK_THAT(printed(kText, {result_of(kBot, kHostile)}), !Catch::Contains("\x1b"));
}

TEST_CASE("the page draws each message, loads nothing and escapes text from outside") {
  const std::string page = printed(kPage, {result_of(kBot, kHostile)});
  CHECK_THAT(page, Catch::StartsWith("<!DOCTYPE html>") && Catch::EndsWith("</html>\n"));
  CHECK_THAT(page, Catch::Contains("<svg") && Catch::Contains("segment 5: 1377 bytes"));
  CHECK_THAT(page, !Catch::Contains("<script") && Catch::Contains("&lt;script&gt;"));
  CHECK_THAT(page,
             !Catch::Contains("\x1b") && !Catch::Contains("http://") && !Catch::Contains("src="));
  CHECK_THAT(page, !Catch::Contains(" style="));
}

TEST_CASE("the page begins with a row for each message, in the requested order") {
  Result bot = result_of(kBot);
  Result server = result_of("segmilter/1 mss=1448 dot=3 seg=1448x9,331+6pn");
  server.number = 1;
  server.time_ns = 0;
  bot.number = 2;
  const auto rows = [&](SortBy sort) {
    const std::string page =
        printed([&](std::FILE* out) { return html_report(out, sort); }, {server, bot});
    const std::size_t first = page.find("href=\"#m1\"");
    const std::size_t second = page.find("href=\"#m2\"");
    CHECK(page.find("<section") > std::max(first, second));
    CHECK(page.find("id=\"m2\"") != page.npos);
    return first < second ? "server, bot" : "bot, server";
  };
  CHECK(rows(SortBy::Capture) == std::string("server, bot"));
  CHECK(rows(SortBy::Score) == std::string("bot, server"));
  CHECK(rows(SortBy::Pattern) == std::string("bot, server"));
  CHECK(rows(SortBy::Time) == std::string("server, bot"));
}

TEST_CASE("the page groups messages by client") {
  Result one = result_of(kBot);
  Result other = result_of(kBot);
  Result again = result_of(kBot);
  other.client = *net::Endpoint::parse("192.0.2.9:40000");
  again.client = *net::Endpoint::parse("192.0.2.1:40001");
  const std::string page = printed(kPage, {one, other, again});
  CHECK_THAT(page, Catch::Contains("<h2>Client <bdi>192.0.2.1</bdi>: 2 messages</h2>") &&
                       Catch::Contains("<h2>Client <bdi>192.0.2.9</bdi>: 1 message</h2>"));
}

TEST_CASE("a page has a limit, and says how many messages are not on it") {
  const std::string page =
      printed(kPage, std::vector<Result>(2003, result_of("segmilter/1 seg=9n")));
  CHECK_THAT(page, Catch::Contains("This page shows the first 2000 of 2003 messages"));
  std::size_t sections = 0;
  for (std::size_t at = 0; (at = page.find("<section", at)) != page.npos; ++at) ++sections;
  CHECK(sections == 2000);
}

TEST_CASE("a header that would be too narrow to see is drawn a second time, enlarged") {
  const std::string large =
      "segmilter/1 mss=1448 line1=19 header=610 body=612 dot=3 fields=19,380,610 "
      "seg=399p,29p,184pn,1448x70";
  CHECK_THAT(printed(kPage, {result_of(large)}),
             Catch::Contains("The header, enlarged: bytes 0 to 688"));
  CHECK_THAT(printed(kPage, {result_of("segmilter/1 mss=1448 header=900 body=902 seg=1448,700")}),
             !Catch::Contains("enlarged: bytes"));
  // Widths are shares: in the enlarged header the second segment has 29 of 688 bytes.
  CHECK_THAT(printed(kPage, {result_of(large)}), Catch::Contains("width=\"4.22%\""));
}

TEST_CASE("the size of a picture with many segments is limited by its width") {
  const std::string page = printed(kPage, {result_of("segmilter/1 mss=10 seg=10x60000")});
  const std::size_t empty = printed(kPage, {result_of("segmilter/1 mss=10 seg=10")}).size();
  CHECK(page.size() > empty + 1000);
  CHECK(page.size() < empty + 200'000);
}
