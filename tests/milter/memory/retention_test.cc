#include "milter/memory/retention.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

using memory::Day;
using memory::Limits;
using memory::Plan;
using memory::Uses;

namespace {

constexpr Day kToday{std::chrono::year(2026) / 11 / 27};

// One file a day of so many bytes, the last one today's.
Uses days_of(const std::vector<std::uint64_t>& bytes) {
  Uses uses;
  auto day = kToday - std::chrono::days(bytes.size() - 1);
  for (const auto size : bytes) {
    uses[day] = {size, {}};
    day += std::chrono::days(1);
  }
  return uses;
}

}  // namespace

TEST_CASE("of too many days the oldest are removed") {
  struct Row {
    const char* what;
    std::vector<std::uint64_t> bytes;
    std::uint64_t free;
    Limits limits;
    unsigned removed;
    bool full;
  };
  const Row rows[] = {
      {"nothing is there", {}, 100, {14, 1000, 10}, 0, false},
      {"all fits", {10, 10, 10}, 100, {3, 30, 100}, 0, false},
      {"one day too many", {10, 10, 10}, 100, {2, 1000, 10}, 1, false},
      {"today is one of the days", {10, 10, 10}, 100, {1, 1000, 10}, 2, false},
      {"one byte too many", {10, 10, 10}, 100, {14, 29, 10}, 1, false},
      {"only two days fit", {10, 50, 10, 10}, 100, {14, 20, 10}, 2, false},
      {"the disk has too little left", {10, 10, 10}, 5, {14, 1000, 15}, 1, false},
      {"both", {10, 10, 10}, 5, {14, 10, 15}, 2, false},
      {"today alone is too large", {10, 10, 100}, 100, {14, 99, 10}, 2, true},
      {"others have filled the disk", {10, 10, 10}, 0, {14, 1000, 21}, 2, true},
      {"only today, which fits to the byte", {10}, 10, {14, 10, 10}, 0, false},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto uses = days_of(row.bytes);
    const Plan plan = memory::plan(uses, row.free, row.limits, kToday);
    std::vector<Day> expected;
    for (const auto& [day, use] : uses) {
      if (expected.size() < row.removed) expected.push_back(day);
    }
    CHECK(plan.remove == expected);
    CHECK(plan.full == row.full);
  }
}

TEST_CASE("files of future days stay, because the clock may have been wrong") {
  auto uses = days_of({10, 10});
  uses[kToday + std::chrono::days(9000)] = {10, {}};
  const auto plan = memory::plan(uses, 100, {1, 1000, 0}, kToday);
  CHECK(plan.remove == std::vector<Day>{kToday - std::chrono::days(1)});
}

TEST_CASE("where room is needed, days far ahead of the clock go before the oldest one") {
  const auto day = [](int more) { return kToday + std::chrono::days(more); };
  auto uses = days_of({10, 10, 10});
  for (const int more : {1, 2, 26'000}) uses[day(more)] = {10, {}};
  struct Row {
    const char* what;
    std::uint64_t max_bytes;
    std::vector<Day> removed;
    bool full;
  };
  const Row rows[] = {
      {"all fits", 60, {}, false},
      {"one has to go", 50, {day(2)}, false},
      {"two", 40, {day(2), day(26'000)}, false},
      {"then the oldest", 30, {day(2), day(26'000), day(-2)}, false},
      {"the next day stays: a clock may be set back by an hour",
       10,
       {day(2), day(26'000), day(-2), day(-1)},
       true},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto plan = memory::plan(uses, 100, {14, row.max_bytes, 0}, kToday);
    CHECK(plan.remove == row.removed);
    CHECK(plan.full == row.full);
  }
  // What is too old goes whether room is needed or not, and may make enough of it.
  CHECK(memory::plan(uses, 100, {2, 50, 0}, kToday).remove == std::vector<Day>{day(-2)});
}

TEST_CASE("all files of a day count for it, and other files, folders and pipes for no day") {
  char name[] = "/tmp/segmilter-retention-XXXXXX";
  const std::string folder = mkdtemp(name);
  for (const char* file : {"messages-20261127.db", "messages-20261127.db-wal", "totals.db",
                           "messages-20261126.db.corrupt-1", "notes.txt"}) {
    std::ofstream(folder + "/" + file) << std::string(5000, 'x');
  }
  std::filesystem::create_directory(folder + "/messages-20261125.db");
  REQUIRE(mkfifo((folder + "/messages-20261124.db").c_str(), 0600) == 0);
  const auto uses = memory::uses(folder);
  std::filesystem::remove_all(folder);
  REQUIRE(uses.size() == 2);
  CHECK(uses.at(kToday).files.size() == 2);
  CHECK(uses.at(kToday).bytes >= 10'000);
  CHECK(uses.at(kToday - std::chrono::days(1)).files.size() == 1);
  CHECK_THROWS_WITH(memory::uses("/no/such/folder"),
                    Catch::Contains("read the folder /no/such/folder"));
}
