// What all milter sessions share, from many threads at once.
#include "milter/filter/service.h"

#include <fmt/format.h>

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

net::Endpoint sender(int number) {
  return *net::Endpoint::parse(fmt::format("10.0.{}.{}:25", number / 256, number % 256));
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
    threads.emplace_back([&, i] {
      for (int j = 0; j < 500; ++j) {
        Judgement judgement = asked_to(Action::Reject);
        judgement.own = 1;
        service.settle(*settings, sender(i * 500 + j), judgement, now);
      }
    });
  }
  threads.emplace_back([&] {
    for (int j = 0; j < 100; ++j) service.tick(now);
  });
  for (auto& thread : threads) thread.join();
  CHECK(counts.messages == 2000);
  CHECK(counts.forged == 2000);
  CHECK(counts.reject == 49);  // the 50th trips it, and is suspended
  CHECK(counts.held_breaker == 1951);
  CHECK(counts.breaker_trips == 1);
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
    service.settle(*settings, sender(i), judgement, now);
  }
  Judgement first = asked_to(Action::Reject);
  service.settle(*settings, sender(1), first, now);
  CHECK(first.verdict.action == Action::Reject);
  Judgement second = asked_to(Action::Reject);
  service.settle(*settings, sender(2), second, now);  // two of two
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
    service.settle(*settings, sender(i), judgement, now);
    CHECK(judgement.verdict.action == Action::Quarantine);
  }
  CHECK(counts.quarantine == 10);
  CHECK(counts.breaker_trips == 0);
}

TEST_CASE("one sender alone does not open the breaker, whatever it sends") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 50;
  const auto now = std::chrono::steady_clock::now();
  const auto sends = [&](const char* pattern) {
    filter::Counters counts;
    Service service(settings, counts);
    for (int i = 0; i < 1000; ++i) {
      Judgement judgement = asked_to(Action::Reject);
      const auto client = net::Endpoint::parse(fmt::format(fmt::runtime(pattern), i % 256));
      service.settle(*settings, client, judgement, now);
    }
    CHECK(counts.messages == 1000);
    return counts.breaker_trips.load();
  };
  CHECK(sends("192.0.2.7:{}") == 0);
  CHECK(sends("[2001:db8:7:{:x}::1]:25") == 0);  // a /48 has many a /64
  CHECK(sends("no address {}") == 0);
  CHECK(sends("192.0.2.{}:25") == 1);
  settings->breaker.max_per_address = 50;
  CHECK(sends("192.0.2.7:{}") == 1);
}

TEST_CASE("a sender counts again as time passes") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 30;
  filter::Counters counts;
  Service service(settings, counts);
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 200; ++i) {
    Judgement judgement = asked_to(Action::Reject);
    service.settle(*settings, sender(1), judgement, begin + i * 3s);  // 600 s: two windows
  }
  CHECK(counts.breaker_trips == 1);
}
