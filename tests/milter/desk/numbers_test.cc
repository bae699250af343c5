// Tests that counters are found by name, and the time within which the filter answers.
#include "milter/desk/numbers.h"

#include <catch2/catch.hpp>

#include "milter/filter/counters.h"

TEST_CASE("a counter is found by its name and label, or is not there") {
  const process::Count one{1};
  const process::Count two{2};
  const process::Families families{{"a_total", "", "what", {{&one, "x"}, {&two, "y"}}}};
  CHECK(desk::value(families, "a_total") == 3);
  CHECK(desk::value(families, "a_total", "y") == 2);
  CHECK_FALSE(desk::value(families, "a_total", "z"));
  CHECK_FALSE(desk::value(families, "b_total"));
}

TEST_CASE("half of the answers, and 99 of 100, are within the limits of their bins") {
  filter::Counters counters;
  const auto limits = [&counters] { return desk::latency(describe(counters)); };
  CHECK(limits().answers == 0);
  CHECK_FALSE(limits().p50);
  using std::chrono::microseconds;
  for (int i = 0; i < 98; ++i) counters.count_answer(microseconds(300));
  counters.count_answer(microseconds(1001));
  counters.count_answer(std::chrono::seconds(9));
  CHECK(limits().answers == 100);
  CHECK(limits().p50 == "1ms");
  CHECK(limits().p99 == "2ms");
  counters.count_answer(std::chrono::seconds(9));
  CHECK(limits().p99 == "more");
}
