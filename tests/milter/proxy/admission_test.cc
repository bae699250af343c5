#include "milter/proxy/admission.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using proxy::Admission;
using Answer = proxy::Admission::Answer;

namespace {

const proxy::steady_clock::time_point kNow{1h};

net::Endpoint endpoint(const std::string& text) {
  return *net::Endpoint::parse(text);
}

}  // namespace

TEST_CASE("a session's place is free again when the session is over") {
  Admission admission;
  config::Proxy limits;
  limits.max_sessions = 1;
  const auto client = endpoint("192.0.2.7:40112");
  {
    const auto first = admission.enter(client, limits, kNow);
    CHECK(first.answer == Answer::Admitted);
    CHECK(admission.sessions() == 1);
    CHECK(admission.enter(client, limits, kNow).answer == Answer::Full);
    CHECK(admission.sessions() == 1);  // the refused client holds no place
  }
  CHECK(admission.sessions() == 0);
  auto entry = admission.enter(client, limits, kNow);
  CHECK(entry.answer == Answer::Admitted);
  {
    const Admission::Place moved = std::move(entry.place);
    CHECK(moved.named());
    CHECK(admission.sessions() == 1);
  }
  CHECK(admission.sessions() == 0);
}

TEST_CASE(
    "a balancer's session counts among all sessions at once, and for its client once that is "
    "named") {
  Admission admission;
  config::Proxy limits;
  limits.max_sessions = 3;
  limits.max_sessions_per_address = 1;
  const auto client = endpoint("192.0.2.7:40112");
  auto first = admission.enter_unnamed(limits);
  auto second = admission.enter_unnamed(limits);
  CHECK(admission.sessions() == 2);
  CHECK_FALSE(first.place.named());
  CHECK(first.place.name(client, limits, kNow) == Answer::Admitted);
  CHECK(first.place.named());
  CHECK(second.place.name(client, limits, kNow) == Answer::TooManyOfAddress);
  CHECK_FALSE(second.place.named());
  CHECK(admission.enter(client, limits, kNow).answer == Answer::TooManyOfAddress);
  { const auto gone = std::move(first.place); }
  CHECK(second.place.name(client, limits, kNow) == Answer::Admitted);
  limits.max_sessions = 1;
  CHECK(admission.enter_unnamed(limits).answer == Answer::Full);
}

TEST_CASE("a client's new sessions are limited by rate, and a minute's worth may come at once") {
  Admission admission;
  config::Proxy limits;
  limits.max_rate_per_address = 30;
  const auto one = endpoint("[2001:db8:0:1::7]:40112");
  const auto sibling = endpoint("[2001:db8:0:1::8]:40113");
  const auto stranger = endpoint("[2001:db8:0:2::7]:40112");
  auto now = kNow;
  const auto enter = [&](const net::Endpoint& client) {
    return admission.enter(client, limits, now).answer;
  };
  for (int i = 0; i < 30; ++i) CHECK(enter(i % 2 == 0 ? one : sibling) == Answer::Admitted);
  CHECK(enter(one) == Answer::TooFast);
  CHECK(enter(sibling) == Answer::TooFast);
  CHECK(enter(stranger) == Answer::Admitted);
  now += 2s;  // a thirtieth of a minute
  CHECK(enter(one) == Answer::Admitted);
  CHECK(enter(one) == Answer::TooFast);
  now += 60s;
  for (int i = 0; i < 30; ++i) CHECK(enter(one) == Answer::Admitted);
  CHECK(enter(one) == Answer::TooFast);
  limits.max_rate_per_address = 0;
  CHECK(enter(one) == Answer::Admitted);
}

TEST_CASE("by default the number of new sessions of a client is not limited, as in Postfix") {
  Admission admission;
  const auto client = endpoint("192.0.2.7:40112");
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(admission.enter(client, {}, kNow).answer == Answer::Admitted);
  }
  CHECK(admission.rates() == 0);
}

TEST_CASE("one network cannot have all sessions, however many addresses it has") {
  const auto [inside, outside] =
      GENERATE(std::pair("[2001:db8:7:{:x}::1]:25", "[2001:db8:8::1]:25"),
               std::pair("192.0.2.{}:25", "192.0.3.1:25"));
  INFO(inside);
  Admission admission;
  config::Proxy limits;
  limits.max_sessions = 100;
  const auto client = [pattern = inside](int i) {
    return endpoint(fmt::format(fmt::runtime(pattern), i));
  };
  std::vector<Admission::Place> places;
  const auto enter = [&](const net::Endpoint& who) {
    auto [answer, place] = admission.enter(who, limits, kNow);
    if (answer == Answer::Admitted) places.push_back(std::move(place));
    return answer;
  };
  const int half = 50;
  places.reserve(half + 3);
  const auto stranger = endpoint(outside);
  for (int i = 0; i < half; ++i) CHECK(enter(client(i)) == Answer::Admitted);
  CHECK(enter(client(half)) == Answer::TooManyOfNetwork);
  CHECK(enter(stranger) == Answer::Admitted);
  places.pop_back();  // the stranger's place
  places.pop_back();  // one of the network's places
  CHECK(enter(stranger) == Answer::Admitted);
  CHECK(enter(client(half)) == Answer::Admitted);
  CHECK(enter(client(half + 1)) == Answer::TooManyOfNetwork);
  limits.max_sessions_per_network = 2;
  CHECK(enter(stranger) == Answer::Admitted);
  CHECK(enter(stranger) == Answer::TooManyOfNetwork);
}

TEST_CASE("the rates of a limited number of clients are remembered; other clients are admitted") {
  Admission admission;
  config::Proxy limits;
  limits.max_rate_per_address = 1;
  auto now = kNow;
  const auto enter = [&](std::size_t i) {
    const auto client = endpoint(fmt::format("[2001:db8:{:x}:{:x}::1]:25", i >> 16, i & 0xffff));
    return admission.enter(client, limits, now).answer;
  };
  for (std::size_t i = 0; i < net::Pace::kMost + 100; ++i) REQUIRE(enter(i) == Answer::Admitted);
  CHECK(admission.rates() == net::Pace::kMost);
  CHECK(enter(0) == Answer::TooFast);
  now += 61s;  // all rates are old by now and are forgotten
  CHECK(enter(1'000'000) == Answer::Admitted);
  CHECK(admission.rates() == 1);
}

TEST_CASE("a refused client gets 421 and is counted for its limit") {
  proxy::Counters counters;
  const struct {
    Answer answer;
    const char* line;
    const process::Count& counter;
  } rows[] = {
      {Answer::Full, "421 4.3.2 Too many connections, try again later\r\n", counters.refused_full},
      {Answer::TooManyOfAddress, "421 4.7.0 Too many connections from your address\r\n",
       counters.refused_address},
      {Answer::TooManyOfNetwork, "421 4.7.0 Too many connections from your network\r\n",
       counters.refused_network},
      {Answer::TooFast, "421 4.7.0 Too many new connections from your address\r\n",
       counters.refused_rate},
  };
  for (const auto& row : rows) {
    const auto [line, counter] = proxy::refusal(row.answer, counters);
    CHECK(line == row.line);
    CHECK(&counter == &row.counter);
  }
}
