// Tests the circuit breaker over time. Each row of a script is a moment, the mail that came, and
// the change that it caused.
#include "milter/filter/breaker.h"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

using namespace std::chrono_literals;
using filter::Breaker;
using Change = Breaker::Change;

namespace {

const config::Breaker kSettings{
    .window = 300s, .min_messages = 100, .max_share = 0.5, .jump = 5, .hold = 600s};
const Breaker::Clock::time_point kStart{1'000'000s};

// `messages` at one moment, `refused` of them, and the last change that they caused.
struct Step {
  std::chrono::seconds at;
  unsigned messages, refused;
  Change change;
  bool open;
};

Change feed(Breaker& breaker, const config::Breaker& settings, const Step& step) {
  const auto now = kStart + step.at;
  Change last = breaker.tick(settings, now);
  for (unsigned i = 0; i < step.messages; ++i) {
    const Change change = breaker.count(i >= step.messages - step.refused, settings, now);
    if (change != Change::None) last = change;
  }
  return last;
}

void play(const std::vector<Step>& steps, config::Breaker settings = kSettings) {
  Breaker breaker;
  for (const Step& step : steps) {
    INFO("at " << step.at.count() << " s");
    CHECK(feed(breaker, settings, step) == step.change);
    CHECK(breaker.open() == step.open);
  }
}

}  // namespace

TEST_CASE("a share above the limit trips, and closes after the hold when it is over") {
  play({
      {0s, 100, 20, Change::None, false},
      {10s, 100, 90, Change::Tripped, true},  // 110 of 200
      {309s, 10, 0, Change::None, true},
      {605s, 10, 0, Change::None, true},  // the share has long been low; the hold is not over
      {611s, 0, 0, Change::ClosedAgain, false},
      {612s, 100, 0, Change::None, false},
  });
}

TEST_CASE("while the share stays high, the breaker stays open for one hold after another") {
  play({
      {0s, 200, 150, Change::Tripped, true},
      {590s, 200, 150, Change::None, true},
      {601s, 0, 0, Change::Prolonged, true},
      {1190s, 200, 150, Change::None, true},
      {1202s, 0, 0, Change::Prolonged, true},
      {1802s, 0, 0, Change::ClosedAgain, false},
  });
}

TEST_CASE("a few messages do not make a share") {
  play({
      {0s, 99, 99, Change::None, false},
      {400s, 99, 99, Change::None, false},  // the first messages have left the window
      {401s, 1, 1, Change::Tripped, true},
  });
}

TEST_CASE("a share of exactly the limit does not trip") {
  play({{0s, 200, 100, Change::None, false}, {1s, 1, 1, Change::Tripped, true}});
}

TEST_CASE("a jump above the long-term share trips below the limit") {
  std::vector<Step> steps;
  // An hour and a half with 2 % refused: 1000 messages outside the window are known.
  for (int i = 0; i < 18; ++i) steps.push_back({i * 300s, 100, 2, Change::None, false});
  steps.push_back({5700s, 100, 9, Change::None, false});
  steps.push_back({6100s, 100, 13, Change::Tripped, true});  // the long-term share is 2.4 %
  play(steps);
}

TEST_CASE("without a long-term share there is no jump") {
  play({{0s, 100, 2, Change::None, false}, {400s, 100, 40, Change::None, false}});
}

TEST_CASE("a jump from nearly nothing to very little does not trip") {
  std::vector<Step> steps;
  for (int i = 0; i < 18; ++i) steps.push_back({i * 300s, 100, 0, Change::None, false});
  steps.push_back({5700s, 200, 9, Change::None, false});     // 4.5 %
  steps.push_back({6100s, 200, 11, Change::Tripped, true});  // five times the least share, 1 %
  play(steps);
}

TEST_CASE("a jump that is off does not trip") {
  auto settings = kSettings;
  settings.jump = std::numeric_limits<double>::infinity();
  std::vector<Step> steps;
  for (int i = 0; i < 18; ++i) steps.push_back({i * 300s, 100, 2, Change::None, false});
  steps.push_back({6100s, 100, 45, Change::None, false});
  play(steps, settings);
}

TEST_CASE("a new level becomes the ordinary one after some days") {
  Breaker breaker;
  auto settings = kSettings;
  std::chrono::seconds at{0};
  for (int i = 0; i < 288; ++i, at += 300s) feed(breaker, settings, {at, 100, 2, {}, {}});
  CHECK_FALSE(breaker.open());
  feed(breaker, settings, {at, 100, 15, {}, {}});
  CHECK(breaker.open());
  int windows = 0;
  for (; breaker.open() && windows < 3 * 288; ++windows, at += 300s) {
    feed(breaker, settings, {at, 100, 15, {}, {}});
  }
  CHECK_FALSE(breaker.open());
  CHECK(windows > 12);  // not as fast as a burst
}

TEST_CASE("a breaker that is switched off closes, and one with another window begins again") {
  Breaker breaker;
  auto settings = kSettings;
  feed(breaker, settings, {0s, 200, 150, {}, {}});
  CHECK(breaker.open());
  settings.enabled = false;
  CHECK(feed(breaker, settings, {1s, 0, 0, {}, {}}) == Change::ClosedAgain);
  settings.enabled = true;
  settings.window = 60s;
  CHECK(feed(breaker, settings, {2s, 0, 0, {}, {}}) == Change::None);
  CHECK(breaker.shares(settings).messages == 0);
}

TEST_CASE("times that other threads read earlier do no harm") {
  Breaker breaker;
  feed(breaker, kSettings, {100s, 10, 1, {}, {}});
  feed(breaker, kSettings, {50s, 10, 1, {}, {}});
  const auto shares = breaker.shares(kSettings);
  CHECK(shares.messages == 20);
  CHECK(shares.refused == 2);
}
