#include "milter/history/report.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>

#include "tests/support/sightings.h"

using history::Counts;
using history::make_report;
using memory::at_ms;
using memory::kNoon;

namespace {

constexpr std::int64_t kHour = 3'600'000;

// Ten messages of a bot that would have been refused, in two hours; one that was not observed; and
// the totals of a day before.
Counts counts() {
  Counts counts;
  const auto cell = [&counts](std::int64_t ms, history::Labels labels, std::uint64_t messages,
                              std::uint64_t rows) {
    counts.cells.push_back({at_ms(ms), std::move(labels), {messages, rows}});
  };
  cell(kNoon - 72 * kHour, {.pattern = "relay", .gait = "unknown", .action = "none"}, 5, 0);
  const history::Labels bot{.pattern = "bot-template",
                            .gait = "script-template",
                            .gait_class = "bot",
                            .action = "none",
                            .would = "tempfail",
                            .held = "monitor"};
  cell(kNoon - kHour, bot, 4, 4);
  cell(kNoon, bot, 6, 6);
  cell(kNoon,
       {.pattern = "unobserved",
        .gait = "unknown",
        .action = "none",
        .would = "none",
        .held = "none",
        .reason = "timeout"},
       50, 1);
  counts.first = at_ms(kNoon - kHour);
  counts.last = at_ms(kNoon);
  counts.distinct_networks = 1;
  counts.networks_of_pattern[static_cast<std::size_t>(classifier::Pattern::BotTemplate)] = 1;
  auto& network = counts.networks.emplace_back(history::NetworkCount{.network = "192.0.2.0/24",
                                                                     .messages = 10,
                                                                     .would_refuse = 10,
                                                                     .first = counts.first,
                                                                     .last = counts.last});
  network.patterns[static_cast<std::size_t>(classifier::Pattern::BotTemplate)] = 10;
  const auto day = memory::day_of(at_ms(kNoon));
  using From = history::DayCount::From;
  using std::chrono::days;
  counts.days = {{day - days(3), From::Totals},
                 {day - days(2), From::Nothing},
                 {day - days(1), From::Nothing},
                 {day, From::Rows}};
  return counts;
}

std::string text() {
  return print_text(make_report(counts(), {}));
}

}  // namespace

TEST_CASE("a report says how often each pattern occurs and what enforce would have refused") {
  CHECK_THAT(text(),
             Catch::Contains("  pattern       messages   share  networks  refused  enforce would "
                             "refuse  enforce would hold\n"
                             "  unobserved          50  76.9 %"));
  CHECK_THAT(text(), Catch::Contains(
                         "\n  bot-template        10  15.4 %         1        0                    "
                         "10                   0\n"));
  CHECK_THAT(text(), Catch::Contains("\n  tempfail   none  monitor             10  15.4 %\n"));
  CHECK_THAT(text(), Catch::Contains("\n  timeout        50  100.0 %\n"));
  CHECK_THAT(text(),
             Catch::Contains("\n  2026-11-27T12:00:00.000Z        56             6          50"));
  CHECK_THAT(text(), Catch::Contains("\n  192.0.2.0/24        10  bot-template      100.0 %"));
}

TEST_CASE("a report says how it was counted") {
  CHECK_THAT(text(), Catch::Contains("65 messages, counted by 11 rows"));
  CHECK_THAT(text(), Catch::Contains("49 messages have no row of their own"));
  CHECK_THAT(text(),
             Catch::Contains("by pattern, gait and action are left (5 messages): 2026-11-24."));
  CHECK_THAT(text(), Catch::Contains("Nothing is remembered for: 2026-11-25, 2026-11-26."));
  auto problems = counts();
  problems.problems = {"messages.db: is damaged"};
  history::Selection selection;
  selection.pattern = {true, {"relay", "mobile"}};
  const auto report = print_text(make_report(problems, selection));
  CHECK_THAT(report, Catch::Contains("Only messages with pattern=!relay,mobile."));
  CHECK_THAT(report, Catch::Contains("messages.db: is damaged."));
}

TEST_CASE("the parts of each table add up to the messages") {
  const auto json = nlohmann::json::parse(print_json(make_report(counts(), {}), counts()));
  CHECK(json["messages"] == 65);
  for (const char* table : {"patterns", "actions", "times", "classes", "gaits"}) {
    INFO(table);
    std::uint64_t sum = 0;
    for (const auto& row : json[table]) sum += row["messages"].get<std::uint64_t>();
    CHECK(sum == 65);
  }
}

TEST_CASE("CSV has each count") {
  const auto csv = print_csv(counts());
  CHECK(csv.starts_with("begin,pattern,gait,class,action,would,held,reason,messages,rows\n"));
  CHECK_THAT(csv, Catch::Contains("2026-11-27T12:00:00.000Z,bot-template,script-template,bot,none,"
                                  "tempfail,monitor,,6,6\n"));
}

TEST_CASE("the page has plots, loads nothing, and shows no text as markup") {
  auto hostile = counts();
  hostile.cells[1].labels.gait = "<script>alert(1)</script>";
  hostile.cells[1].labels.pattern = "\"><script>";
  hostile.networks[0].network = "<img src=x>";
  hostile.problems = {"<b>"};
  const auto page = print_html(make_report(hostile, {}), hostile);
  CHECK(page.find("<script") == page.npos);
  CHECK(page.find("<img") == page.npos);
  CHECK(page.find("<b>") == page.npos);
  CHECK(page.find(" style=") == page.npos);
  CHECK_THAT(page,
             Catch::Contains("<svg class=\"bars\" role=\"img\"><title>Patterns by time</title>"));
  CHECK_THAT(page, Catch::Contains(
                       "2026-11-27T12:00Z: 56; bot-template 6; unobserved, indistinct, noisy 50"));
  CHECK_THAT(page, Catch::Contains("Content-Security-Policy"));
}

TEST_CASE("a report without messages says so") {
  const auto report = make_report({}, {});
  CHECK(print_text(report).starts_with("No messages\n"));
  CHECK(print_html(report, {}).find("<svg class=\"bars\"") == std::string::npos);
  CHECK(nlohmann::json::parse(print_json(report, {}))["first"].is_null());
}
