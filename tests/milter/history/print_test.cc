#include "milter/history/print.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/support/sightings.h"

using history::Row;

namespace {

Row row() {
  Row row;
  row.at = {memory::at_ms(memory::kNoon), 0, 17};
  row.queue_id = "4abcDEF";
  row.address = "192.0.2.7";
  row.network = "192.0.2.0/24";
  row.port = 40112;
  row.pattern = "bot-template";
  row.gait = "unknown";
  row.gait_class = "bot";
  row.action = "none";
  row.would = "tempfail";
  row.score = 4.9204;
  row.confidence = 0.98;
  row.terms = "bot-template:+3.92,template-cuts:+1";
  return row;
}

}  // namespace

TEST_CASE("a row is one line of a table") {
  CHECK(print_text(row()) ==
        "2026-11-27T12:00:00.000Z  4abcDEF          192.0.2.7          bot-template        +4.9 "
        "0.98  "
        "none (would tempfail)   unknown, bot\n");
  auto old = row();
  old.queue_id = old.address = "";
  old.weight = 50;
  CHECK_THAT(print_text(old), Catch::Contains("  -                192.0.2.0/24 "));
  CHECK_THAT(print_text(old), Catch::Contains("(one of 50 such messages)"));
}

TEST_CASE("a row is a JSON object, in which what is not known is null") {
  auto old = row();
  old.address = "";
  old.port = {};
  const auto json = nlohmann::json::parse(print_json(old));
  CHECK(json["time"] == "2026-11-27T12:00:00.000Z");
  CHECK(json["score"] == 4.92);
  CHECK(json["address"].is_null());
  CHECK(json["port"].is_null());
  CHECK(json["class"] == "bot");
  CHECK(json["cursor"] == "1795780800000-0-17");
  CHECK_FALSE(json.contains("trace"));
}

TEST_CASE("a line of CSV has a field for each name of the head") {
  const auto fields = [](const std::string& line) {
    int count = 1;
    bool quoted = false;
    for (const char c : line) {
      if (c == '"') quoted = !quoted;
      if (c == ',' && !quoted) ++count;
    }
    return count;
  };
  auto one = row();
  one.trace = "segmilter/1 seg=1,2";
  CHECK(fields(print_csv(one)) == fields(history::csv_head()));
  CHECK(history::csv_head().starts_with("time,queue_id,address,port,"));
  CHECK_THAT(print_csv(one), Catch::Contains(",\"bot-template:+3.92,template-cuts:+1\","));
}

TEST_CASE("a field of CSV stays one field on one line") {
  CHECK(history::csv_field("plain") == "plain");
  CHECK(history::csv_field("a,b") == "\"a,b\"");
  CHECK(history::csv_field("a\"b") == "\"a\"\"b\"");
  CHECK(history::csv_field("a\nb\x1b") == "a\\x0ab\\x1b");
}

TEST_CASE("a field of CSV is a text to a spreadsheet, and a number stays a number") {
  for (const char* formula : {"=1+1", "+1", "-1", "@SUM(A1)"}) {
    CHECK(history::csv_field(formula) == std::string("'") + formula);
  }
  CHECK(history::csv_field("=a,\"b\"") == "\"'=a,\"\"b\"\"\"");
  auto good = row();
  good.score = -3.5;
  CHECK_THAT(print_csv(good), Catch::Contains(",-3.5,"));
}

TEST_CASE("bytes that a terminal would obey are never printed, wherever they come from") {
  auto hostile = row();
  for (auto* text : {&hostile.queue_id, &hostile.address, &hostile.network, &hostile.pattern,
                     &hostile.gait, &hostile.gait_class, &hostile.action, &hostile.would,
                     &hostile.terms, &hostile.listener, &hostile.syn}) {
    *text = "\x1b[2J\n\xff\x7f\xc2\x9b<script>";
  }
  for (const auto& printed : {print_text(hostile), print_csv(hostile), print_json(hostile)}) {
    CHECK(printed.find_first_of("\x1b\x7f\x9b\xff") == std::string::npos);
    CHECK(printed.find('\n') == printed.size() - 1);
  }
  CHECK(nlohmann::json::parse(print_json(hostile))["listener"].get<std::string>().starts_with(
      "\x1b[2J\n"));
}
