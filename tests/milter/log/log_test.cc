#include "milter/log/log.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/captured_stderr.h"

namespace {

using Captured = support::CapturedStderr;

config::Log text_log(std::string level = "info") {
  return {config::Log::Target::Stderr, config::Log::Format::Text, std::move(level)};
}

config::Log json_log() {
  return {config::Log::Target::Stderr, config::Log::Format::Json, "info"};
}

std::string written_event(const config::Log& settings, std::string_view id,
                          const std::vector<logging::Fact>& facts) {
  Captured captured;
  logging::open(settings, "filter");
  logging::event(logging::Level::Info, id, "message", facts);
  return captured.text();
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

TEST_CASE("a text event has the process, the queue id, the name of the event and the facts") {
  const auto line =
      written_event(text_log(), "4WxYz1", {{"client", "192.0.2.7:4"}, {"score", "8.4", true}});
  CHECK(line.find(" segmilter/filter[" + std::to_string(getpid()) + "] info: ") != line.npos);
  CHECK(ends_with(line, " info: 4WxYz1: message client=192.0.2.7:4 score=8.4\n"));
}

TEST_CASE("a text event without a queue id begins with its name") {
  CHECK(ends_with(written_event(text_log(), "", {{"a", "b"}}), " info: message a=b\n"));
}

TEST_CASE("values that a peer chose can neither end the value or the line nor control a terminal") {
  const auto row = GENERATE(table<std::string, std::string>({
      {"plain.example", "plain.example"},
      {"", "\"\""},
      {"two words", "\"two words\""},
      {"say \"hi\"", "\"say \\\"hi\\\"\""},
      {"back\\slash", "\"back\\\\slash\""},
      {"line\nfeed", "\"line\\x0afeed\""},
      {"a\r\nQID: message pattern=official-mta",
       "\"a\\x0d\\x0aQID: message pattern=official-mta\""},
      {"\x1b[31m", "\"\\x1b[31m\""},
      {"caf\xc3\xa9", "\"caf\\xc3\\xa9\""},
      {"\x7f", "\"\\x7f\""},
      {"100%n{}", "100%n{}"},
  }));
  const auto line = written_event(text_log(), "Q", {{"helo", std::get<0>(row)}});
  CHECK(ends_with(line, "Q: message helo=" + std::get<1>(row) + "\n"));
}

TEST_CASE("free text keeps its quotes and loses its control characters") {
  Captured captured;
  logging::open(text_log(), "proxy");
  logging::warning("open \"x\": no\nsuch \x07 file");
  CHECK(ends_with(captured.text(), " warning: open \"x\": no\\x0asuch \\x07 file\n"));
}

TEST_CASE("a level below the configured one is not written") {
  Captured captured;
  logging::open(text_log("warning"), "proxy");
  logging::info("quiet");
  logging::debug("quieter");
  CHECK_FALSE(logging::enabled(logging::Level::Info));
  CHECK(logging::enabled(logging::Level::Error));
  CHECK(captured.text().empty());
}

TEST_CASE("a JSON event is one object a line, with numbers without quotes") {
  const auto line = written_event(
      json_log(), "4WxYz1", {{"helo", "a\"b\n\xff"}, {"score", "8.4", true}, {"odd", "x1", true}});
  CHECK(line.find('\n') == line.size() - 1);
  const auto json = nlohmann::json::parse(line);
  CHECK(json["queue_id"] == "4WxYz1");
  CHECK(json["event"] == "message");
  CHECK(json["process"] == "filter");
  CHECK(json["level"] == "info");
  CHECK(json["score"].is_number());
  CHECK(json["score"] == 8.4);
  CHECK(json["odd"] == "x1");
  CHECK(json["helo"] == "a\"b\n\xef\xbf\xbd");
  CHECK(json["time"].get<std::string>().size() == 24);
}

TEST_CASE("a JSON line is always ASCII") {
  const auto line = written_event(json_log(), "Q", {{"helo", "\xc3\xa9\x7f\x01"}});
  CHECK(std::all_of(line.begin(), line.end() - 1, [](char c) { return c >= ' ' && c < 0x7f; }));
}

TEST_CASE("a JSON text line carries the text") {
  Captured captured;
  logging::open(json_log(), "desk");
  logging::error("bind 127.0.0.1:25: Address already in use");
  CHECK(nlohmann::json::parse(captured.text())["text"] ==
        "bind 127.0.0.1:25: Address already in use");
}
