#include "milter/policy_service/rules.h"

#include <algorithm>

namespace policy_service {
namespace {

using config::PolicyRule;
using config::PolicyState;

bool is_for(const PolicyRule& rule, PolicyState state) {
  // Postfix has no place for a field when the message has come (access(5)).
  if (rule.answer.kind == config::PolicyAnswer::Kind::Prepend &&
      state == PolicyState::EndOfMessage) {
    return false;
  }
  return rule.states == 0 || (rule.states & bit_of(state)) != 0;
}

bool reaches(const std::optional<double>& least, const std::optional<double>& value) {
  return !least || (value && *value >= *least);
}

bool holds(const PolicyRule& rule, const Known& known) {
  if (!is_for(rule, known.state)) return false;
  if (!reaches(rule.reputation, known.reputation) || !reaches(rule.score, known.score)) {
    return false;
  }
  if (rule.talk != 0 && (rule.talk & known.talk) == 0) return false;
  if (rule.access != 0 && (rule.access & known.access) == 0) return false;
  if (rule.patterns != 0) {
    const bool one_of =
        known.pattern && (rule.patterns >> static_cast<unsigned>(*known.pattern) & 1U) != 0;
    if (!one_of) return false;
  }
  if (!rule.networks.empty() && !(known.client && net::contains(rule.networks, *known.client))) {
    return false;
  }
  const auto& listeners = rule.listeners;
  return listeners.empty() ||
         std::find(listeners.begin(), listeners.end(), known.listener) != listeners.end();
}

}  // namespace

Wanted wanted(std::span<const PolicyRule> rules, PolicyState state) {
  Wanted wanted;
  for (const PolicyRule& rule : rules) {
    if (!is_for(rule, state)) continue;
    wanted.background = wanted.background || rule.reputation || rule.access != 0;
    wanted.talk = wanted.talk || rule.talk != 0;
    wanted.verdict = wanted.verdict || rule.is_about_message();
  }
  return wanted;
}

std::optional<std::size_t> first_that_holds(std::span<const PolicyRule> rules, const Known& known,
                                            const std::function<bool()>& defers) {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (holds(rules[i], known) && (!rules[i].greylist || defers())) return i;
  }
  return std::nullopt;
}

}  // namespace policy_service
