// From a verdict to what is done: the mode, the roll-out, the circuit breaker, and what happens
// where there was nothing to judge. A verdict ends at what its score asks for; what is done is
// decided here and nowhere else. No clock, no lock, no log; safe from any thread.
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

// What kept an action from being done that was asked for, or made it a milder one.
enum class HeldBackBy : std::uint8_t { None, Monitor, Percent, Breaker };
std::string_view name(HeldBackBy held);

struct Decision {
  classifier::Action action = classifier::Action::None;  // what is done
  classifier::Action would = classifier::Action::None;   // what the score or the fallback asks for
  HeldBackBy held = HeldBackBy::None;
  bool operator==(const Decision&) const = default;
};

// What evidence there was.
enum class Basis : std::uint8_t {
  Evidence,    // judged
  Unobserved,  // nobody saw the message, or so little of it that it could not be judged
  Failed,      // somebody may have, but asking or judging failed: timeout, busy, error
};
// `pattern`: what the trace was judged to be. It decides and not the trace's state: a sender that
// can make observers lose its segments must not escape what is done with unobserved mail. So
// partial evidence from which nothing could be told (no segment, or one) is none.
Basis basis_of(const classifier::Trace& trace, classifier::Pattern pattern);

// Rejects and deferrals: what a breaker counts and suspends. A message on hold can be released.
bool is_refusal(classifier::Action action);

// Where a client stands in roll-outs, 0 to 99: below an action's percent it gets the action. The
// same for each message of an IPv4 address or IPv6 /64, so that a retry meets the same answer, and
// the same on every machine with this `key`. A client in the share of 10 % is in that of 20 % too.
// `client` null: 0.
unsigned rollout_place(const net::Endpoint* client, std::string_view key);

// Without the breaker. `policy`, `enforcement`: of the listener. `place`: of the client (rollout_place).
Decision decide(const classifier::Verdict& verdict, Basis basis, const classifier::Policy& policy,
                const config::Enforcement& enforcement, unsigned place);

// What becomes of it while the breaker is open: a refusal is not done, nor is a milder action in
// its place, since what floods the breaker would flood the queue.
Decision suspended(const Decision& decision);

}  // namespace policy
