#include "milter/reputation/standing.h"

#include <rapidcheck.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <numeric>

using namespace reputation;

namespace {

Known known(Kind kind, double spam, double total) {
  return {kind, "x", {.spam = spam, .total = total, .bad = spam, .seen = total}};
}

double logit(double rate) {
  return std::log(rate / (1 - rate));
}

}  // namespace

TEST_CASE("a level leans on the level before it by its number of messages") {
  const Sums site{.spam = 99, .total = 198};  // (99 + 1) / (198 + 2) = 0.5
  const std::vector<Known> levels = {known(Kind::Asn, 6, 8), known(Kind::Network, 8, 8),
                                     known(Kind::Address, 0, 1)};
  const double asn = (6 + 2 * 0.5) / (8 + 2);
  const double network = (8 + 4 * asn) / (8 + 4);
  const double address = (0 + 3 * network) / (1 + 3);
  const auto standing = combine(site, levels);
  CHECK(standing.rate == Approx(address));
  REQUIRE(standing.levels.size() == 3);
  CHECK(standing.levels[0].delta == Approx(std::round(10 * logit(asn)) / 10));
  CHECK(standing.levels[1].delta ==
        Approx(std::round(10 * logit(network)) / 10 - std::round(10 * logit(asn)) / 10));
  CHECK(standing.levels[2].delta < 0);
  CHECK(standing.term == Approx(std::round(10 * logit(address)) / 10));
}

TEST_CASE("the parts add up to the term in whole tenths, whatever was learnt") {
  REQUIRE(
      rc::check("sum of the parts", [](const std::vector<std::pair<unsigned, unsigned>>& numbers) {
        std::vector<Known> levels;
        for (std::size_t i = 0; i < numbers.size() && i < 4; ++i) {
          const double total = numbers[i].first % 100'000 / 7.0;
          levels.push_back(
              known(static_cast<Kind>(i + 1), total * (numbers[i].second % 101) / 100, total));
        }
        const auto standing = combine({.spam = 3, .total = 9}, levels);
        long tenths = 0;
        for (const auto& level : standing.levels) {
          RC_ASSERT(std::abs(level.delta * 10 - std::round(level.delta * 10)) < 1e-9);
          tenths += std::lround(level.delta * 10);
        }
        RC_ASSERT(tenths == std::lround(standing.term * 10));
        RC_ASSERT(standing.term >= -1.5);
        RC_ASSERT(standing.term <= 2.5);
      }));
}

TEST_CASE("the term has limits, and the level that reaches one adds what is left") {
  const std::vector<Known> levels = {known(Kind::Network, 500, 500), known(Kind::Address, 90, 90)};
  const auto standing = combine({.spam = 10, .total = 100}, levels);
  CHECK(standing.term == 2.5);
  CHECK(standing.levels[0].delta == 2.5);
  CHECK(standing.levels[1].delta == 0);
  CHECK(combine({.spam = 50, .total = 100}, std::vector{known(Kind::Network, 0, 500)}).term ==
        -1.5);
  CHECK(combine({.spam = 10, .total = 100}, levels, {.least = 0, .most = 10}).term == 1.0);
}

TEST_CASE("if nothing is known, there is no level and no term") {
  const auto standing = combine({.spam = 10, .total = 20}, {});
  CHECK(standing.term == 0);
  CHECK(standing.levels.empty());
  CHECK(standing.rate == Approx(0.5));
}

TEST_CASE("a level with less than two weak lessons adds nothing, but is shown") {
  const auto standing = combine({}, std::vector{known(Kind::Network, 0.25, 0.25)});
  CHECK(standing.term == 0);
  REQUIRE(standing.levels.size() == 1);
  CHECK(standing.levels[0].delta == 0);
}

TEST_CASE(
    "at a site that has learnt only of unwanted mail, a few good messages do not make a sender "
    "good") {
  const auto standing =
      combine({.spam = 1000, .total = 1000}, std::vector{known(Kind::Network, 0, 0.5)});
  CHECK(standing.term < 0);
  CHECK(standing.term > -1);
}

TEST_CASE("a reason is printed in words") {
  CHECK(sentence({.kind = Kind::Network,
                  .name = "192.0.2.0/24",
                  .delta = 0.9,
                  .spam = 41.2,
                  .total = 59.8,
                  .half_life = std::chrono::days(14)}) ==
        "network 192.0.2.0/24 +0.9 (41 of 60 in 14 d)");
}
