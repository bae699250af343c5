// The short form of tests/long/days: 20,000 messages of two simulated days.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "milter/reputation/table.h"
#include "tests/support/days_run.h"
#include "tests/support/simulated_days.h"

using simulation::Quality;
using simulation::Ranking;

namespace {

simulation::Result short_days(double labels, std::string folder = {}) {
  return simulation::run_days({.messages = 20'000,
                               .seed = 7,
                               .labels = labels,
                               .folder = std::move(folder),
                               .traces = "tests/data/corpus"});
}

}  // namespace

TEST_CASE(
    "in simulated days the chain ranks better than the address alone, and its rate is right") {
  const auto labelled = short_days(0.3);
  CHECK(labelled.chain.auc > labelled.address.auc + 0.05);
  CHECK(labelled.chain.auc > 0.7);
  CHECK(labelled.chain.ece < 0.1);
  CHECK(labelled.term_unwanted > labelled.term_wanted + 0.3);
}

TEST_CASE("segmilter's own verdicts alone rank better than nothing, and all messages are stored") {
  char name[] = "/tmp/segmilter-days-XXXXXX";
  REQUIRE(mkdtemp(name) != nullptr);
  const auto own = short_days(0, name);
  std::filesystem::remove_all(name);
  CHECK(own.stored == 20'000);
  CHECK(own.lessons_bad > 500);
  CHECK(own.lessons_good > 500);
  CHECK(own.chain.auc > own.address.auc);
  CHECK(own.term_unwanted > own.term_wanted);
  CHECK(own.entries <= reputation::TableMemory::kEntries);
}

TEST_CASE("the same seed makes the same days, in the order of time and with day and night") {
  const auto begin = std::chrono::sys_days(std::chrono::year(2026) / 11 / 25);
  simulation::Days one(5, 5000, begin);
  simulation::Days two(5, 5000, begin);
  simulation::Mail a;
  simulation::Mail b;
  auto last = a.time;
  int by_day = 0;
  while (one.next(a)) {
    REQUIRE(two.next(b));
    REQUIRE((a.client == b.client && a.time == b.time && a.unwanted == b.unwanted));
    REQUIRE(a.time >= last);
    last = a.time;
    const auto hour = std::chrono::floor<std::chrono::hours>(a.time - begin).count() % 24;
    by_day += hour >= 8 && hour < 20 ? 1 : 0;
  }
  CHECK_FALSE(two.next(b));
  CHECK(last < begin + simulation::Days::kLength);
  CHECK(by_day > 2700);
}

TEST_CASE("the figures of a ranking are computed correctly") {
  Ranking right;
  Ranking wrong;
  Ranking blind;
  for (int i = 0; i < 100; ++i) {
    right.add(i < 50 ? 0.0 : 1.0, i >= 50);
    wrong.add(i < 50 ? 1.0 : 0.0, i >= 50);
    blind.add(0.5, i >= 50);
  }
  CHECK(right.quality().auc == 1);
  CHECK(right.quality().ece == Approx(0));
  CHECK(wrong.quality().auc == 0);
  CHECK(wrong.quality().ece == Approx(1));
  CHECK(blind.quality().auc == Approx(0.5));
  CHECK(blind.quality().ece == Approx(0));
}
