// Tests what all milter sessions share, used by many threads at once.
#include "milter/filter/service.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "milter/log/log.h"
#include "tests/support/captured_stderr.h"

using classifier::Action;
using filter::Judgement;
using filter::Service;
using policy::HeldBackBy;
using namespace std::chrono_literals;

namespace {

Judgement asked_to(Action action) {
  Judgement judgement;
  judgement.decision = {action, action, HeldBackBy::None};
  return judgement;
}

net::Endpoint sender(int number) {
  return *net::Endpoint::parse(fmt::format("10.0.{}.{}:25", number / 256, number % 256));
}

}  // namespace

TEST_CASE("each message is counted once, and the breaker trips once") {
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
        service.settle(*settings, sender(i * 500 + j), judgement, now);
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
  CHECK(counts.reject == 49);  // the 50th message trips the breaker and is suspended itself
  CHECK(counts.held_breaker == 1951);
  CHECK(counts.breaker_trips == 1);
}

TEST_CASE(
    "a message that is refused for its forged headers does not count in the breaker's shares") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 2;
  filter::Counters counts;
  Service service(settings, counts);
  const auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 100; ++i) {
    Judgement judgement = asked_to(Action::Reject);
    judgement.flood = true;
    service.settle(*settings, sender(1), judgement, now);
  }
  CHECK(counts.messages == 100);
  CHECK(counts.flooded == 100);
  CHECK(counts.reject == 0);
  CHECK(counts.breaker_trips == 0);
}

TEST_CASE("an exempt message does not count in the breaker's shares") {
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
  CHECK(first.decision.action == Action::Reject);
  Judgement second = asked_to(Action::Reject);
  service.settle(*settings, sender(2), second, now);  // two refused of two
  CHECK(second.decision.action == Action::None);
  CHECK(counts.exempt == 100);
}

TEST_CASE("mail on hold does not trip the breaker, and an open breaker does not release it") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 2;
  filter::Counters counts;
  Service service(settings, counts);
  const auto now = std::chrono::steady_clock::now();
  for (int i = 0; i < 10; ++i) {
    Judgement judgement = asked_to(Action::Quarantine);
    service.settle(*settings, sender(i), judgement, now);
    CHECK(judgement.decision.action == Action::Quarantine);
  }
  CHECK(counts.quarantine == 10);
  CHECK(counts.breaker_trips == 0);
}

namespace {

// What the filter logs while `act` runs, without times.
template <typename Do>
std::vector<nlohmann::json> logged(Do act) {
  const support::CapturedStderr captured;
  logging::open({config::Log::Target::Stderr, config::Log::Format::Json, "info"}, "filter");
  act();
  std::vector<nlohmann::json> lines;
  std::istringstream text(captured.text());
  for (std::string line; std::getline(text, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace

TEST_CASE("the action, what held it back and its basis have a counter each") {
  auto settings = std::make_shared<config::Config>();
  filter::Counters counts;
  Service service(settings, counts);
  const auto now = std::chrono::steady_clock::now();
  const auto settle = [&](Judgement judgement) {
    service.settle(*settings, sender(1), judgement, now);
  };
  for (const auto action : {Action::None, Action::Tempfail, Action::Quarantine, Action::Reject}) {
    settle(asked_to(action));
  }
  for (const auto held : {HeldBackBy::Monitor, HeldBackBy::Percent}) {
    Judgement judgement;
    judgement.decision = {Action::None, Action::Reject, held};
    settle(judgement);
  }
  for (const auto basis : {policy::Basis::Unobserved, policy::Basis::Failed}) {
    Judgement judgement;
    judgement.basis = basis;
    settle(judgement);
  }
  Judgement sealed;
  sealed.exempt = filter::Exemption::Sealed;
  settle(sealed);
  Judgement unsealed;
  unsealed.exempt = filter::Exemption::Relay;
  unsealed.from_relay = true;
  unsealed.own = 1;
  settle(unsealed);
  CHECK(counts.messages == 10);
  CHECK(counts.exempt == 2);
  CHECK(counts.tempfail == 1);
  CHECK(counts.quarantine == 1);
  CHECK(counts.reject == 1);
  CHECK(counts.held_monitor == 1);
  CHECK(counts.held_percent == 1);
  CHECK(counts.unobserved == 1);
  CHECK(counts.failed == 1);
  CHECK(counts.sealed == 1);
  CHECK(counts.seal_refused == 1);
  CHECK(counts.pattern[0] == 8);  // unobserved, because the judgement has an empty verdict
}

TEST_CASE("counters are logged when they have changed, and every five minutes") {
  auto settings = std::make_shared<config::Config>();
  filter::Counters counts;
  Service service(settings, counts);
  const std::chrono::steady_clock::time_point start{1h};
  CHECK(logged([&] { service.log_counters(); }).empty());  // no message has come
  Judgement judgement;
  service.settle(*settings, sender(1), judgement, start);
  auto lines = logged([&] { service.log_counters(); });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["event"] == "counters");
  CHECK(lines[0]["messages"] == 1);
  CHECK(logged([&] { service.log_counters(); }).empty());
  CHECK(logged([&] { service.tick(start); }).empty());
  service.settle(*settings, sender(1), judgement, start);
  CHECK(logged([&] { service.tick(start + 299s); }).empty());
  lines = logged([&] { service.tick(start + 300s); });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["messages"] == 2);
}

TEST_CASE("the breaker says when it opens, that it stays open, and when it closes") {
  auto settings = std::make_shared<config::Config>();
  settings->breaker.min_messages = 2;
  settings->breaker.window = 60s;
  settings->breaker.hold = 100s;
  filter::Counters counts;
  Service service(settings, counts);
  const std::chrono::steady_clock::time_point start{1h};
  const auto refuse = [&](std::chrono::seconds at) {
    Judgement judgement = asked_to(Action::Reject);
    service.settle(*settings, sender(1), judgement, start + at);
  };
  auto lines = logged([&] {
    refuse(0s);
    refuse(1s);
  });
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["text"].get<std::string>().starts_with("breaker open: "));
  CHECK(counts.breaker_open);
  lines = logged([&] {
    refuse(90s);
    refuse(91s);
    service.tick(start + 102s);
  });
  REQUIRE_FALSE(lines.empty());
  CHECK(lines[0]["text"].get<std::string>().starts_with("breaker stays open: "));
  lines = logged([&] { service.tick(start + 300s); });
  REQUIRE_FALSE(lines.empty());
  CHECK(lines[0]["text"].get<std::string>().starts_with("breaker closed: "));
  CHECK_FALSE(counts.breaker_open);
}

TEST_CASE("failures at the C boundary are all counted, and logged less and less often") {
  filter::Counters counts;
  Service service(std::make_shared<config::Config>(), counts);
  const auto lines = logged([&] {
    for (int i = 0; i < 9; ++i) service.failed("no memory");
  });
  CHECK(counts.callback_failures == 9);
  REQUIRE(lines.size() == 4);  // at 1, 2, 4, 8
  CHECK(lines[3]["text"].get<std::string>().find("8 so far") != std::string::npos);
}

TEST_CASE("a drain waits for the open sessions, but not longer than its deadline") {
  filter::Counters counts;
  Service service(std::make_shared<config::Config>(), counts);
  const auto soon = [] { return std::chrono::steady_clock::now() + 10ms; };
  CHECK(service.wait_until_idle(soon()));
  service.session_begins();
  CHECK_FALSE(service.wait_until_idle(soon()));
  std::thread ends([&] { service.session_ends(); });
  CHECK(service.wait_until_idle(std::chrono::steady_clock::now() + 60s));
  ends.join();
}

TEST_CASE("a message is judged by one configuration, even if another one comes meanwhile") {
  filter::Counters counts;
  auto first = std::make_shared<config::Config>();
  Service service(first, counts);
  const auto taken = service.settings();
  auto second = std::make_shared<config::Config>();
  service.replace(second);
  CHECK(taken == first);
  CHECK(service.settings() == second);
}

TEST_CASE("beyond the limit of questions at a time no question is asked") {
  filter::Counters counts;
  auto settings = std::make_shared<config::Config>();
  settings->evidence.socket = "/nowhere/evidence.sock";
  Service service(settings, counts);
  const auto client = *net::Endpoint::parse("192.0.2.7:1");
  filter::BoundedEvidence source(service, *settings);
  CHECK(source.ask({.client = client}).reason ==
        classifier::Reason::Error);  // a question was asked, and nothing answers on the socket
  settings->filter.max_in_flight = 0;
  const auto trace = source.ask({.client = client, .after = 4});
  CHECK(trace.reason == classifier::Reason::Busy);
  CHECK(trace.message == 5);
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
  CHECK(sends("[2001:db8:7:{:x}::1]:25") == 0);  // a /48 holds many /64s
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
