#include "milter/offline/report.h"

#include <catch2/catch.hpp>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "classifier/trace_text.h"
#include "milter/offline/strip.h"

namespace {

using namespace offline;

Result result_of(const std::string& notation, const std::string& file = "mail.pcap") {
  Result result;
  result.file = file;
  result.trace = std::get<classifier::Trace>(classifier::parse_trace(notation));
  result.verdict = classifier::classify(result.trace, {});
  result.client = *net::Endpoint::parse("192.0.2.1:40000");
  result.server = *net::Endpoint::parse("[2001:db8::1]:25");
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

const std::string kHostile = "<script>alert('1')</script>&\x1b[31m\xff.pcap";

}  // namespace

TEST_CASE("a line of JSON has every promised key") {
  const std::string line = printed(jsonl_report, {result_of(kBot)});
  REQUIRE(std::count(line.begin(), line.end(), '\n') == 1);
  const auto json = nlohmann::json::parse(line);
  for (const char* key :
       {"file",       "client", "server",      "message",  "pattern", "writer",  "path",
        "confidence", "score",  "action",      "gait",     "block",   "mss",     "tls",
        "chunking",   "size",   "header_size", "segments", "writes",  "reasons", "trace"}) {
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
}

TEST_CASE("a file name that is no UTF-8 still gives JSON") {
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

TEST_CASE("colours come only when they are asked for, and a name cannot bring its own") {
  CHECK_THAT(printed(kColours, {result_of(kBot)}), Catch::Contains("\x1b["));
  CHECK_THAT(printed(kText, {result_of(kBot, kHostile)}), !Catch::Contains("\x1b"));
}

TEST_CASE("the page draws each message, loads nothing and escapes what is not ours") {
  const std::string page = printed(html_report, {result_of(kBot, kHostile)});
  CHECK_THAT(page, Catch::StartsWith("<!DOCTYPE html>") && Catch::EndsWith("</html>\n"));
  CHECK_THAT(page, Catch::Contains("<svg") && Catch::Contains("segment 5: 1377 bytes"));
  CHECK_THAT(page, !Catch::Contains("<script") && Catch::Contains("&lt;script&gt;"));
  CHECK_THAT(page,
             !Catch::Contains("\x1b") && !Catch::Contains("http://") && !Catch::Contains("src="));
}

TEST_CASE("the picture of many segments is bounded by its width") {
  const std::string page = printed(html_report, {result_of("segmilter/1 mss=10 seg=10x60000")});
  std::size_t boxes = 0;
  for (std::size_t at = 0; (at = page.find("<rect", at)) != page.npos; ++at) ++boxes;
  CHECK(boxes > 100);
  CHECK(boxes < 2500);
}

TEST_CASE("a strip shows where segments and writes end") {
  struct Row {
    const char* what;
    std::string notation;
    std::vector<std::uint32_t> writes;
    std::string strip;
  };
  const Row rows[] = {
      {"one segment", "segmilter/1 seg=96n", {96}, "--|"},
      {"two segments, one write", "segmilter/1 seg=96,96n", {192}, "--+--|"},
      {"two writes", "segmilter/1 seg=96,96n", {96, 96}, "--|--|"},
      {"sent again", "segmilter/1 seg=96,96r,96n", {288}, "--+==+--|"},
      {"a hole", "segmilter/1 seg=96,96h,96n", {288}, "--+?-+--|"},
      {"nothing", "segmilter/1 state=unobserved reason=lost", {}, ""},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    Result result = result_of(row.notation);
    result.verdict.writes = row.writes;
    CHECK(strip(result.trace, result.verdict, 80) == row.strip);
  }
  Result large = result_of("segmilter/1 mss=1448 seg=1448x5000");
  CHECK(strip(large.trace, large.verdict, 80).size() == 80);
}
