#include "milter/policy/decision.h"

#include "milter/seal/hmac.h"

namespace policy {

using classifier::Action;

std::string_view name(HeldBackBy held) {
  switch (held) {
    case HeldBackBy::None:
      return "none";
    case HeldBackBy::Monitor:
      return "monitor";
    case HeldBackBy::Percent:
      return "percent";
    case HeldBackBy::Breaker:
      return "breaker";
  }
  return "none";
}

std::string_view name(Basis basis) {
  switch (basis) {
    case Basis::Evidence:
      return "evidence";
    case Basis::Unobserved:
      return "unobserved";
    case Basis::Failed:
      return "failed";
  }
  return "failed";
}

Basis basis_of(const classifier::Trace& trace, classifier::Pattern pattern) {
  using classifier::Pattern;
  using classifier::Reason;
  const bool partial = trace.state == classifier::State::Partial;
  const bool judged =
      pattern != Pattern::Unobserved && !(partial && pattern == Pattern::Indistinct);
  if (judged) return Basis::Evidence;
  switch (trace.reason) {
    case Reason::Timeout:
    case Reason::Busy:
    case Reason::Error:
      return Basis::Failed;
    default:
      return Basis::Unobserved;
  }
}

bool is_refusal(Action action) {
  return action == Action::Reject || action == Action::Tempfail;
}

unsigned rollout_place(const net::Endpoint* client, std::string_view key) {
  if (client == nullptr) return 0;
  const auto site = client->site();
  const auto& address = site.bytes();
  const seal::Digest digest =
      seal::hmac_sha256(key, {reinterpret_cast<const char*>(address.data()), address.size()});
  std::uint32_t number = 0;
  for (int i = 0; i < 4; ++i) number = number << 8 | digest[i];
  return number % 100;
}

namespace {

unsigned percent_of(Action action, const config::Enforcement& enforcement) {
  switch (action) {
    case Action::Reject:
      return enforcement.reject_percent;
    case Action::Quarantine:
      return enforcement.quarantine_percent;
    case Action::Tempfail:
      return enforcement.tempfail_percent;
    case Action::None:
      break;
  }
  return 100;
}

// The severest action below `action` whose threshold the score also reaches. Thresholds increase
// with severity, so a milder threshold can be missed only if it is off.
Action milder(Action action, double score, const classifier::Policy& policy) {
  if (action > Action::Quarantine && score >= policy.quarantine) return Action::Quarantine;
  if (action > Action::Tempfail && score >= policy.tempfail) return Action::Tempfail;
  return Action::None;
}

Action fallback(Basis basis, const config::Enforcement& enforcement) {
  const auto wanted = basis == Basis::Failed ? enforcement.on_error : enforcement.on_unobserved;
  return wanted == config::Enforcement::Fallback::Tempfail ? Action::Tempfail : Action::None;
}

}  // namespace

Decision decide(const classifier::Verdict& verdict, Basis basis, const classifier::Policy& policy,
                const config::Enforcement& enforcement, unsigned place) {
  Decision decision;
  const bool judged = basis == Basis::Evidence;
  decision.would = judged ? verdict.asks : fallback(basis, enforcement);
  if (decision.would == Action::None) return decision;
  if (enforcement.mode == config::Enforcement::Mode::Monitor) {
    decision.held = HeldBackBy::Monitor;
    return decision;
  }
  Action action = decision.would;
  while (action != Action::None && place >= percent_of(action, enforcement)) {
    decision.held = HeldBackBy::Percent;
    action = judged ? milder(action, verdict.score, policy) : Action::None;
  }
  decision.action = action;
  return decision;
}

Decision decide_rule(Action would, const config::Enforcement& enforcement, unsigned place) {
  Decision decision{.would = would};
  if (enforcement.mode == config::Enforcement::Mode::Monitor) {
    decision.held = HeldBackBy::Monitor;
  } else if (place >= percent_of(would, enforcement)) {
    decision.held = HeldBackBy::Percent;
  } else {
    decision.action = would;
  }
  return decision;
}

Decision suspended(const Decision& decision) {
  if (!is_refusal(decision.action)) return decision;
  return {Action::None, decision.would, HeldBackBy::Breaker};
}

}  // namespace policy
