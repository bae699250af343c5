// What the policy service counts. Its thread writes, any process may read.
#pragma once

#include <array>

#include "milter/config/policy_rule.h"
#include "milter/process/metrics.h"

namespace policy_service {

struct Counters {
  std::array<process::Count, config::kPolicyStates> questions{};
  process::Count questions_other{0};  // in states that are never answered (VRFY, ETRN)
  std::array<process::Count, config::PolicyAnswer::kKinds> answers{};
  process::Count held_monitor{0};
  process::Count held_percent{0};
  process::Count held_breaker{0};
  process::Count greylist_deferred{0};
  process::Count greylist_passed{0};
  process::Count malformed{0};
  process::Count failures{0};  // exceptions; the answer was DUNNO
  process::Count connections{0};
  process::Count refused{0};
};

inline process::Families describe(const Counters& counts) {
  using process::family;
  process::Family questions{
      "policy_questions_total", "Questions of Postfix to the policy service.", "state", {}};
  for (std::size_t i = 0; i < counts.questions.size(); ++i) {
    questions.samples.push_back({&counts.questions[i], name(static_cast<config::PolicyState>(i))});
  }
  questions.samples.push_back({&counts.questions_other, "other"});
  process::Family answers{"policy_answers_total", "Answers of the policy service.", "answer", {}};
  for (std::size_t i = 0; i < counts.answers.size(); ++i) {
    answers.samples.push_back(
        {&counts.answers[i], name(static_cast<config::PolicyAnswer::Kind>(i))});
  }
  return {
      questions,
      answers,
      {"policy_held_total",
       "Questions answered with dunno although a rule held, by what held the answer back.",
       "by",
       {{&counts.held_monitor, "monitor"},
        {&counts.held_percent, "percent"},
        {&counts.held_breaker, "breaker"}}},
      family(
          "policy_greylist_deferred_total", counts.greylist_deferred,
          "Questions for which a rule with greylist held, because the client had not come again."),
      family("policy_greylist_passed_total", counts.greylist_passed,
             "Questions for which such a rule did not hold, because the client had come again."),
      family("policy_malformed_total", counts.malformed,
             "Connections closed because of a request that Postfix does not send."),
      family("policy_failures_total", counts.failures,
             "Questions answered with dunno because of an error in the filter."),
      family("policy_connections", counts.connections,
             "Connections to the policy service that are open."),
      family("policy_connections_refused_total", counts.refused,
             "Connections closed because of policy_service.max_connections."),
  };
}

}  // namespace policy_service
