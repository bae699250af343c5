#include "milter/reputation/entry.h"

#include <rapidcheck.h>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>

#include "tests/support/table_file.h"

using namespace reputation;
using namespace std::chrono_literals;

namespace {

Entry entry_of(Kind kind = Kind::Network) {
  Entry entry{.key = {kind, true, 0xc000'0200'0000'0000U}, .first = on_day(0), .last = on_day(0)};
  entry.add({.spam = 3, .total = 4, .bad = 12, .seen = 40}, on_day(0), on_day(0));
  return entry;
}

}  // namespace

TEST_CASE("half of an entry is forgotten in the half-life of its kind") {
  CHECK(entry_of(Kind::Address).sums(on_day(7)).total == Approx(2));
  CHECK(entry_of(Kind::Network).sums(on_day(14)).spam == Approx(1.5));
  CHECK(entry_of(Kind::Asn).sums(on_day(60)).seen == Approx(10));
}

TEST_CASE("a clock that is set back forgets nothing and brings nothing back") {
  auto entry = entry_of();
  CHECK(entry.sums(on_day(-3)).total == Approx(4));
  entry.add({.spam = 0, .total = 1, .bad = 0, .seen = 1}, on_day(-3), on_day(-3));
  CHECK(entry.total == Approx(5));
  CHECK(entry.last == on_day(0));
  CHECK(entry.sums(on_day(14)).total == Approx(2.5));
}

TEST_CASE("a clock that jumps an hour ahead and back changes hardly anything") {
  auto entry = entry_of();
  entry.add({}, on_day(0, 1h), on_day(0, 1h));
  entry.add({.spam = 1, .total = 1, .bad = 1, .seen = 1}, on_day(0, 10min), on_day(0, 10min));
  CHECK(entry.total == Approx(5).epsilon(0.01));
}

TEST_CASE("an entry comes back from its words") {
  auto entry = entry_of(Kind::Gait);
  entry.day = 20'000;
  entry.given = 500;
  CHECK(from_words(to_words(entry)) == entry);
}

TEST_CASE("words that are not an entry are refused") {
  const auto sound = to_words(entry_of());
  const auto bits = [](float value) { return std::uint64_t{std::bit_cast<std::uint32_t>(value)}; };
  struct Row {
    const char* what;
    int word;
    std::uint64_t value;
  };
  const Row rows[] = {
      {"an empty place", 1, 0},
      {"a kind that does not exist", 1, 0x40 | 5},
      {"bits that mean nothing", 1, 0x40 | 2 | 0x100},
      {"no number", 2, bits(NAN) | bits(1) << 32},
      {"an infinite number", 2, bits(1) | bits(INFINITY) << 32},
      {"a negative number", 2, bits(-1) | bits(1) << 32},
      {"a part larger than its whole", 2, bits(3) | bits(2) << 32},
      {"more messages than there can be", 3, bits(1) | bits(1e20F) << 32},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    auto words = sound;
    words[row.word] = row.value;
    CHECK_FALSE(from_words(words));
  }
}

TEST_CASE("whatever words are read as an entry has finite sums") {
  REQUIRE(rc::check("finite", [](const Words& words) {
    const auto entry = from_words(words);
    if (!entry) return;
    const auto sums = entry->sums(on_day(0));
    RC_ASSERT(std::isfinite(sums.total) && std::isfinite(sums.spam) && sums.total >= 0);
    RC_ASSERT(std::isfinite(entry->worth(on_day(0))));
  }));
}
