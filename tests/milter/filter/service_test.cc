// What all milter sessions share, from many threads at once.
#include "milter/filter/service.h"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

using classifier::Action;
using filter::Held;
using filter::Judgement;
using filter::Service;
using namespace std::chrono_literals;

namespace {

Judgement asked_to(Action action) {
  Judgement judgement;
  judgement.decision = {action, action, Held::None};
  return judgement;
}

}  // namespace

TEST_CASE("each message is counted once, and once is enough for the breaker to trip") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 50;
  filter::Counters counts;
  Service service(settings, counts);
  const auto now = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 500; ++j) {
        Judgement judgement = asked_to(Action::Reject);
        service.settle(*settings, judgement, now);
        service.deleted(2);
      }
    });
  }
  threads.emplace_back([&] {
    for (int j = 0; j < 100; ++j) service.tick(now);
  });
  for (auto& thread : threads) thread.join();
  CHECK(counts.messages == 2000);
  CHECK(counts.forged == 4000);
  CHECK(counts.reject == 49);  // the 50th trips it, and is suspended
  CHECK(counts.held_breaker == 1951);
  CHECK(counts.breaker_trips == 1);
}

TEST_CASE("a message that is refused for its forged headers is no part of any share") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 2;
  filter::Counters counts;
  Service service(settings, counts);
  const auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    Judgement judgement = asked_to(Action::Reject);
    judgement.flood = true;
    service.settle(*settings, judgement, now);
  }
  CHECK(counts.messages == 100);
  CHECK(counts.flooded == 100);
  CHECK(counts.reject == 0);
  CHECK(counts.breaker_trips == 0);
}

TEST_CASE("an exempt message is no part of any share") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 2;
  filter::Counters counts;
  Service service(settings, counts);
  const auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    Judgement judgement;
    judgement.exempt = filter::Exemption::OwnNetwork;
    service.settle(*settings, judgement, now);
  }
  Judgement first = asked_to(Action::Reject);
  service.settle(*settings, first, now);
  CHECK(first.verdict.action == Action::Reject);
  Judgement second = asked_to(Action::Reject);
  service.settle(*settings, second, now);  // two of two
  CHECK(second.verdict.action == Action::None);
  CHECK(counts.exempt == 100);
}

TEST_CASE("mail on hold neither trips the breaker nor is let go by it") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 2;
  filter::Counters counts;
  Service service(settings, counts);
  const auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) {
    Judgement judgement = asked_to(Action::Quarantine);
    service.settle(*settings, judgement, now);
    CHECK(judgement.verdict.action == Action::Quarantine);
  }
  CHECK(counts.quarantine == 10);
  CHECK(counts.breaker_trips == 0);
}
