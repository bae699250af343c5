// Turns a verdict into the action that is taken. The verdict says what the score asks for. The
// mode, the roll-out, the circuit breaker and the fallbacks for unobserved mail decide here, and
// nowhere else, what is done. No clock, no lock, no log; safe from any thread.
//
//     score ──thresholds──► asks ──mode──► roll-out ──► action ──breaker──► action
//                                                          │
//                                                          └─► the breaker counts it
#pragma once

#include <cstdint>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/config/config.h"
#include "milter/net/address.h"

namespace policy {

// What prevented the requested action, or replaced it with a milder one.
enum class HeldBackBy : std::uint8_t { None, Monitor, Percent, Breaker };
std::string_view name(HeldBackBy held);

// Adds one to the counter that `held` names: held_monitor, held_percent or held_breaker.
template <typename Counters>
void count_held(HeldBackBy held, Counters& counters) {
  switch (held) {
    case HeldBackBy::Monitor:
      ++counters.held_monitor;
      break;
    case HeldBackBy::Percent:
      ++counters.held_percent;
      break;
    case HeldBackBy::Breaker:
      ++counters.held_breaker;
      break;
    case HeldBackBy::None:
      break;
  }
}

struct Decision {
  classifier::Action action = classifier::Action::None;  // what is done
  classifier::Action would = classifier::Action::None;   // what the score or the fallback asks for
  HeldBackBy held = HeldBackBy::None;
  bool operator==(const Decision&) const = default;
};

// What the decision rests on.
enum class Basis : std::uint8_t {
  Evidence,    // judged
  Unobserved,  // no observer saw the message, or saw too little to judge it
  Failed,      // asking the observer or judging failed: timeout, busy, error
};
std::string_view name(Basis basis);
// `pattern`: the label that the trace got. It decides here, not the trace's state: otherwise a
// sender could make observers lose its segments, and so escape the rule for unobserved mail.
// Partial evidence from which nothing could be concluded (no segment, or one) counts as none.
Basis basis_of(const classifier::Trace& trace, classifier::Pattern pattern);

// True for rejections and deferrals. The breaker counts and suspends these. A message on hold can
// still be released, so it does not count.
bool is_refusal(classifier::Action action);

// The client's place in a roll-out, 0 to 99. The client gets an action if its place is below the
// action's percentage. All messages from one IPv4 address or IPv6 /64 have the same place, so a
// retry gets the same answer. All machines with the same `key` compute the same place. A client in
// a share of 10 % is also in one of 20 %. Returns 0 if `client` is null.
unsigned rollout_place(const net::Endpoint* client, std::string_view key);

// Decides, without the breaker. `policy`, `enforcement`: those of the listener. `place`: the
// client's place (rollout_place).
Decision decide(const classifier::Verdict& verdict, Basis basis, const classifier::Policy& policy,
                const config::Enforcement& enforcement, unsigned place);

// The same for what a rule of the policy service asks for; no milder action takes its place.
Decision decide_rule(classifier::Action would, const config::Enforcement& enforcement,
                     unsigned place);

// The decision while the breaker is open: a refusal is not carried out. It is not replaced by a
// milder action either, because the mail that opened the breaker would then flood the hold queue.
Decision suspended(const Decision& decision);

}  // namespace policy
