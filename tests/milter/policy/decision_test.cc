// From a score to an action, one row for each case; and the place of a client in a roll-out.
#include "milter/policy/decision.h"

#include <catch2/catch.hpp>
#include <limits>
#include <set>

using classifier::Action;
using classifier::Pattern;
using Mode = config::Enforcement::Mode;
using classifier::Policy;
using classifier::Reason;
using policy::Basis;
using policy::Decision;
using policy::HeldBackBy;

namespace {

constexpr double kOff = std::numeric_limits<double>::infinity();
using Fallback = config::Enforcement::Fallback;

net::Endpoint client(const std::string& text) {
  return *net::Endpoint::parse(text);
}

unsigned place_of(const std::string& text, std::string_view key = "") {
  const auto endpoint = client(text);
  return policy::rollout_place(&endpoint, key);
}

classifier::Verdict scored(double score, Action would) {
  classifier::Verdict verdict;
  verdict.score = score;
  verdict.asks = would;
  return verdict;
}

}  // namespace

TEST_CASE("score, mode and roll-out give an action and what held it back") {
  struct Row {
    const char* label;
    double score;
    Action asked;  // with the thresholds 6, 8, 10 unless others are given
    Mode mode;
    unsigned tempfail, quarantine, reject;  // percent
    unsigned place;
    double quarantine_threshold;
    Decision expected;
  };
  constexpr auto kEnforce = Mode::Enforce;
  constexpr auto kMonitor = Mode::Monitor;
  // clang-format off
  const Row rows[] = {
      {"below all thresholds", 1, Action::None, kEnforce, 100, 100, 100, 99, 8, {Action::None, Action::None, HeldBackBy::None}},
      {"above, in monitor mode", 11, Action::Reject, kMonitor, 100, 100, 100, 0, 8, {Action::None, Action::Reject, HeldBackBy::Monitor}},
      {"above, enforced", 11, Action::Reject, kEnforce, 100, 100, 100, 99, 8, {Action::Reject, Action::Reject, HeldBackBy::None}},
      {"inside the share", 11, Action::Reject, kEnforce, 100, 100, 10, 9, 8, {Action::Reject, Action::Reject, HeldBackBy::None}},
      {"outside of it: the next milder", 11, Action::Reject, kEnforce, 100, 100, 10, 10, 8, {Action::Quarantine, Action::Reject, HeldBackBy::Percent}},
      {"the next milder is off: the one below", 11, Action::Reject, kEnforce, 100, 100, 10, 10, kOff, {Action::Tempfail, Action::Reject, HeldBackBy::Percent}},
      {"outside of two shares", 11, Action::Reject, kEnforce, 100, 20, 10, 20, 8, {Action::Tempfail, Action::Reject, HeldBackBy::Percent}},
      {"outside of all", 11, Action::Reject, kEnforce, 30, 20, 10, 30, 8, {Action::None, Action::Reject, HeldBackBy::Percent}},
      {"a share of nothing", 7, Action::Tempfail, kEnforce, 0, 100, 100, 0, 8, {Action::None, Action::Tempfail, HeldBackBy::Percent}},
      {"a hold outside of its share is deferred", 9, Action::Quarantine, kEnforce, 100, 50, 100, 50, 8, {Action::Tempfail, Action::Quarantine, HeldBackBy::Percent}},
      {"a severer one's share does not matter", 7, Action::Tempfail, kEnforce, 100, 0, 0, 99, 8, {Action::Tempfail, Action::Tempfail, HeldBackBy::None}},
  };
  // clang-format on
  for (const Row& row : rows) {
    INFO(row.label);
    Policy policy;
    policy.quarantine = row.quarantine_threshold;
    config::Enforcement enforcement;
    enforcement.mode = row.mode;
    enforcement.tempfail_percent = row.tempfail;
    enforcement.quarantine_percent = row.quarantine;
    enforcement.reject_percent = row.reject;
    const auto decision = policy::decide(scored(row.score, row.asked), Basis::Evidence, policy,
                                         enforcement, row.place);
    CHECK(decision == row.expected);
  }
}

TEST_CASE("without evidence, or after a failure, the configured fallback is used") {
  struct Row {
    const char* label;
    Basis basis;
    Fallback on_unobserved, on_error;
    Mode mode;
    unsigned percent;
    Decision expected;
  };
  constexpr auto kEnforce = Mode::Enforce;
  // clang-format off
  const Row rows[] = {
      {"nothing by default", Basis::Unobserved, Fallback::None, Fallback::None, kEnforce, 100, {}},
      {"unobserved", Basis::Unobserved, Fallback::Tempfail, Fallback::None, kEnforce, 100, {Action::Tempfail, Action::Tempfail, HeldBackBy::None}},
      {"unobserved is no error", Basis::Unobserved, Fallback::None, Fallback::Tempfail, kEnforce, 100, {}},
      {"failed", Basis::Failed, Fallback::None, Fallback::Tempfail, kEnforce, 100, {Action::Tempfail, Action::Tempfail, HeldBackBy::None}},
      {"failed is not unobserved", Basis::Failed, Fallback::Tempfail, Fallback::None, kEnforce, 100, {}},
      {"monitor mode", Basis::Failed, Fallback::None, Fallback::Tempfail, Mode::Monitor, 100, {Action::None, Action::Tempfail, HeldBackBy::Monitor}},
      {"outside of the share", Basis::Unobserved, Fallback::Tempfail, Fallback::None, kEnforce, 50, {Action::None, Action::Tempfail, HeldBackBy::Percent}},
  };
  // clang-format on
  for (const Row& row : rows) {
    INFO(row.label);
    Policy policy;
    policy.tempfail = -1000;  // thresholds must not matter here
    config::Enforcement enforcement;
    enforcement.mode = row.mode;
    enforcement.on_unobserved = row.on_unobserved;
    enforcement.on_error = row.on_error;
    enforcement.tempfail_percent = row.percent;
    CHECK(policy::decide({}, row.basis, policy, enforcement, 50) == row.expected);
  }
}

TEST_CASE("an open breaker suspends rejections and deferrals, and nothing else") {
  const Decision reject{Action::Reject, Action::Reject, HeldBackBy::None};
  CHECK(policy::suspended(reject) == Decision{Action::None, Action::Reject, HeldBackBy::Breaker});
  const Decision tempfail{Action::Tempfail, Action::Reject, HeldBackBy::Percent};
  CHECK(policy::suspended(tempfail) == Decision{Action::None, Action::Reject, HeldBackBy::Breaker});
  const Decision hold{Action::Quarantine, Action::Quarantine, HeldBackBy::None};
  CHECK(policy::suspended(hold) == hold);
  CHECK(policy::suspended({}) == Decision{});
}

TEST_CASE("each reason has its kind of basis") {
  const std::set<Reason> failures{Reason::Timeout, Reason::Busy, Reason::Error};
  for (const auto reason :
       {Reason::NoSession, Reason::Lost, Reason::Ambiguous, Reason::Encrypted, Reason::NoCapture,
        Reason::NotMail, Reason::Timeout, Reason::Busy, Reason::Error}) {
    const auto expected = failures.count(reason) != 0 ? Basis::Failed : Basis::Unobserved;
    CHECK(policy::basis_of(classifier::unobserved(reason, 1), Pattern::Unobserved) == expected);
  }
}

TEST_CASE("partial evidence from which nothing can be concluded counts as none") {
  using classifier::State;
  struct Row {
    const char* label;
    State state;
    Reason reason;
    std::vector<std::uint32_t> segments;
    Basis expected;
  };
  const Row rows[] = {
      {"whole", State::Complete, Reason::None, {1448, 1448, 200}, Basis::Evidence},
      {"whole, in one segment", State::Complete, Reason::None, {600}, Basis::Evidence},
      {"a part, enough to judge",
       State::Partial,
       Reason::Dropped,
       {1448, 1448, 1448, 200},
       Basis::Evidence},
      {"full, and no segment", State::Partial, Reason::Full, {}, Basis::Unobserved},
      {"dropped, and no segment", State::Partial, Reason::Dropped, {}, Basis::Unobserved},
      {"dropped, and one segment", State::Partial, Reason::Dropped, {7}, Basis::Unobserved},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    classifier::Trace trace;
    trace.state = row.state;
    trace.reason = row.reason;
    trace.path.mss = 1448;
    trace.size = 6000;
    trace.landmarks.header_end = 300;
    trace.landmarks.body_begin = 302;
    for (const auto size : row.segments) trace.segments.push_back({.size = size});
    const auto verdict = classifier::classify(trace, {}, nullptr);
    CHECK(policy::basis_of(trace, verdict.pattern) == row.expected);
  }
}

TEST_CASE("a client keeps its place, and shares it with its IPv6 /64") {
  CHECK(place_of("192.0.2.7:1") == place_of("192.0.2.7:40112"));
  CHECK(place_of("[::ffff:192.0.2.7]:1") == place_of("192.0.2.7:1"));
  CHECK(place_of("[2001:db8:1::7]:1") == place_of("[2001:db8:1:0:ffff::9]:2"));
  CHECK(policy::rollout_place(nullptr, "") == 0);
}

TEST_CASE("places are spread evenly, and depend on the key") {
  unsigned below = 0;
  unsigned moved = 0;
  for (int i = 0; i < 10'000; ++i) {
    const auto address = "198." + std::to_string(i / 250) + ".7." + std::to_string(i % 250) + ":25";
    const unsigned place = place_of(address);
    REQUIRE(place < 100);
    if (place < 10) ++below;
    if (place != place_of(address, "our-mx")) ++moved;
  }
  // 10 % of 10,000, with a standard deviation of 30.
  CHECK(below > 850);
  CHECK(below < 1150);
  CHECK(moved > 9'500);
}

TEST_CASE("each way to hold an action back has its word") {
  CHECK(policy::name(HeldBackBy::None) == "none");
  CHECK(policy::name(HeldBackBy::Monitor) == "monitor");
  CHECK(policy::name(HeldBackBy::Percent) == "percent");
  CHECK(policy::name(HeldBackBy::Breaker) == "breaker");
}
