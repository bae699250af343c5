// Tests what is kept, for how long, and that no question waits behind a long one.
#include "milter/desk/lookups.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

using desk::Lookups;
using Kind = desk::Lookups::Kind;
using std::chrono::milliseconds;

namespace {

Lookups::Kept wait_for(Lookups& lookups, const std::string& key, Kind kind,
                       const Lookups::Find& find) {
  for (int i = 0; i < 2000; ++i) {
    if (auto kept = lookups.ask(key, kind, find)) return kept;
    std::this_thread::sleep_for(milliseconds(2));
  }
  FAIL("no answer in four seconds");
  return nullptr;
}

}  // namespace

TEST_CASE("an answer is looked up once, kept, and the loop is told of it") {
  std::atomic<int> told{0};
  std::atomic<int> looked{0};
  Lookups lookups({}, [&told] { ++told; });
  lookups.start();
  const auto find = [&looked](history::History&) {
    ++looked;
    return Lookups::Found(desk::Rows{});
  };
  const auto first = wait_for(lookups, "a", Kind::Rows, find);
  CHECK(first->error.empty());
  CHECK(wait_for(lookups, "a", Kind::Rows, find) == first);
  CHECK(looked == 1);
  for (int i = 0; i < 200 && told == 0; ++i) std::this_thread::sleep_for(milliseconds(5));
  CHECK(told == 1);
}

TEST_CASE("a look-up that fails gives an answer with the reason") {
  Lookups lookups({}, [] {});
  lookups.start();
  const auto kept = wait_for(lookups, "a", Kind::Counts, [](history::History&) -> Lookups::Found {
    throw std::runtime_error("the store is away");
  });
  CHECK(kept->error == "the store is away");
}

TEST_CASE("a long look-up does not keep others waiting") {
  std::atomic<bool> go_on{false};
  Lookups lookups({}, [] {});
  lookups.start();
  const auto slow = [&go_on](history::History&) {
    while (!go_on) std::this_thread::sleep_for(milliseconds(1));
    return Lookups::Found(desk::Rows{});
  };
  CHECK(lookups.ask("slow", Kind::Rows, slow) == nullptr);
  (void)wait_for(lookups, "quick", Kind::Rows,
                 [](history::History&) { return Lookups::Found(desk::Rows{}); });
  CHECK(lookups.ask("slow", Kind::Rows, slow) == nullptr);
  go_on = true;
  (void)wait_for(lookups, "slow", Kind::Rows, slow);
}

TEST_CASE("the answers that are kept have a limit, and the oldest ones are removed") {
  Lookups lookups({}, [] {});
  lookups.start();
  const auto find = [](history::History&) { return Lookups::Found(desk::Rows{}); };
  const auto first = wait_for(lookups, "0", Kind::Rows, find);
  for (std::size_t i = 1; i <= Lookups::kMostKept; ++i) {
    (void)wait_for(lookups, std::to_string(i), Kind::Rows, find);
  }
  CHECK(lookups.ask("0", Kind::Rows, find) == nullptr);
}

TEST_CASE("no more questions wait than the limit, and the others are asked again") {
  std::atomic<bool> go_on{false};
  Lookups lookups({}, [] {});
  lookups.start();
  const auto slow = [&go_on](history::History&) {
    while (!go_on) std::this_thread::sleep_for(milliseconds(1));
    return Lookups::Found(desk::Rows{});
  };
  for (std::size_t i = 0; i < 2 * Lookups::kMostKept; ++i) {
    CHECK(lookups.ask(std::to_string(i), Kind::Rows, slow) == nullptr);
  }
  go_on = true;
  (void)wait_for(lookups, "last", Kind::Rows, slow);
}
