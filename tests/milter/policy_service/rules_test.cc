// Tests milter/policy_service/rules: which rule holds, and what has to be known for it.
#include "milter/policy_service/rules.h"

#include <catch2/catch.hpp>
#include <vector>

#include "classifier/dialogue_words.h"

using classifier::Pattern;
using config::PolicyAnswer;
using config::PolicyRule;
using config::PolicyState;
using policy_service::first_that_holds;
using policy_service::Known;
using policy_service::wanted;
using policy_service::Wanted;

namespace {

PolicyAnswer answer(std::string_view text) {
  return std::get<PolicyAnswer>(config::parse_policy_answer(text));
}
const PolicyAnswer kReject = answer("REJECT 5.7.1 No");
const std::uint32_t kEarly = *classifier::words_named("early");
const std::uint32_t kSplit = *classifier::words_named("split");

Known known(PolicyState state = PolicyState::Rcpt) {
  return {.state = state, .client = net::Endpoint::parse("192.0.2.7:1")};
}

bool holds(const PolicyRule& rule, const Known& facts) {
  return first_that_holds({&rule, 1}, facts, [] { return true; }).has_value();
}

}  // namespace

TEST_CASE("a condition holds if it is met, and not if nothing is known") {
  struct Row {
    const char* what;
    PolicyRule rule;
    void (*meet)(Known&);
    void (*miss)(Known&);
  };
  const Row rows[] = {
      {"reputation",
       {.reputation = 2.0},
       [](Known& one) { one.reputation = 2.0; },
       [](Known& one) { one.reputation = 1.9; }},
      {"access",
       {.access = 2 | 4},
       [](Known& one) { one.access = 4; },
       [](Known& one) { one.access = 8; }},
      {"talk",
       {.talk = kEarly | kSplit},
       [](Known& one) { one.talk = kSplit; },
       [](Known& one) { one.talk = *classifier::words_named("lower"); }},
      {"pattern",
       {.patterns = 1U << static_cast<unsigned>(Pattern::BotTemplate)},
       [](Known& one) { one.pattern = Pattern::BotTemplate; },
       [](Known& one) { one.pattern = Pattern::OfficialMta; }},
      {"score",
       {.score = 4.0},
       [](Known& one) { one.score = 4.5; },
       [](Known& one) { one.score = 3.5; }},
      {"listener",
       {.reputation = -20.0, .listeners = {"strict"}},
       [](Known& one) {
         one.listener = "strict";
         one.reputation = 0;
       },
       [](Known& one) {
         one.listener = "smtpd";
         one.reputation = 0;
       }},
      {"network",
       {.networks = {*net::Network::parse("198.51.100.0/24")}},
       [](Known& one) { one.client = net::Endpoint::parse("198.51.100.9:1"); },
       [](Known& one) { one.client = net::Endpoint::parse("198.51.101.9:1"); }},
  };
  for (Row row : rows) {
    INFO(row.what);
    row.rule.answer = kReject;
    Known facts = known();
    CHECK_FALSE(holds(row.rule, facts));
    row.miss(facts);
    CHECK_FALSE(holds(row.rule, facts));
    row.meet(facts);
    CHECK(holds(row.rule, facts));
  }
}

TEST_CASE("all conditions of a rule have to hold") {
  const PolicyRule rule{.reputation = 1.0, .talk = kEarly, .answer = kReject};
  Known facts = known();
  facts.reputation = 2.0;
  CHECK_FALSE(holds(rule, facts));
  facts.talk = kEarly;
  CHECK(holds(rule, facts));
}

TEST_CASE("a rule holds in its states only, and PREPEND never when the message has come") {
  PolicyRule rule{.states = bit_of(PolicyState::Data), .talk = kEarly, .answer = kReject};
  Known facts = known();
  facts.talk = kEarly;
  CHECK_FALSE(holds(rule, facts));
  facts.state = PolicyState::Data;
  CHECK(holds(rule, facts));
  rule.states = 0;
  rule.answer = answer("PREPEND X-Sender: early");
  CHECK(holds(rule, facts));
  facts.state = PolicyState::EndOfMessage;
  CHECK_FALSE(holds(rule, facts));
}

TEST_CASE("the first rule that holds is taken; one with greylist only while it defers") {
  const std::vector<PolicyRule> rules = {
      {.reputation = 5.0, .answer = kReject},
      {.reputation = 2.0, .greylist = true, .answer = answer("DEFER_IF_PERMIT Later")},
      {.reputation = 1.0, .answer = answer("PREPEND X-Sender: bad")},
  };
  Known facts = known();
  int asked = 0;
  const auto first = [&](bool defers) {
    return first_that_holds(rules, facts, [&] {
      ++asked;
      return defers;
    });
  };
  facts.reputation = 6;
  CHECK(first(true) == 0U);
  CHECK(asked == 0);
  facts.reputation = 3;
  CHECK(first(true) == 1U);
  CHECK(first(false) == 2U);
  CHECK(asked == 2);
  facts.reputation = 0.5;
  CHECK(first(true) == std::nullopt);
  CHECK(asked == 2);
}

TEST_CASE("only what a rule of this state needs is wanted") {
  const std::vector<PolicyRule> rules = {
      {.states = bit_of(PolicyState::Rcpt), .reputation = 1.0, .answer = kReject},
      {.states = bit_of(PolicyState::EndOfMessage), .score = 1.0, .answer = kReject},
      {.states = bit_of(PolicyState::Data), .talk = kEarly, .answer = kReject},
  };
  CHECK(wanted(rules, PolicyState::Connect) == Wanted{});
  CHECK(wanted(rules, PolicyState::Rcpt) == Wanted{.background = true});
  CHECK(wanted(rules, PolicyState::Data) == Wanted{.talk = true});
  CHECK(wanted(rules, PolicyState::EndOfMessage) == Wanted{.verdict = true});
}
