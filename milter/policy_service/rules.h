// Which rule of the policy service holds for a question. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>

#include "classifier/pattern.h"
#include "milter/config/policy_rule.h"
#include "milter/net/address.h"

namespace policy_service {

// What is known when Postfix asks. A value that is not set is not known, and no condition on it
// holds.
struct Known {
  config::PolicyState state = config::PolicyState::Rcpt;
  std::optional<net::Endpoint> client;
  std::optional<double> reputation;
  std::uint32_t access = 0;  // the bit of the client's kind of access
  std::uint32_t talk = 0;    // words of the dialogue so far, as bits
  std::optional<classifier::Pattern> pattern;
  std::optional<double> score;
  std::string listener;  // empty: not known
};

// What has to be found out for these rules in this state.
struct Wanted {
  bool background = false;  // reputation and access
  bool talk = false;
  bool verdict = false;  // pattern or score
  bool operator==(const Wanted&) const = default;
};
Wanted wanted(std::span<const config::PolicyRule> rules, config::PolicyState state);

// The number of the first rule that holds, from 0. Nothing: none does. `defers` is asked once at
// most for each rule with greylist whose conditions hold, and the rule is skipped if it says
// no.
std::optional<std::size_t> first_that_holds(std::span<const config::PolicyRule> rules,
                                            const Known& known,
                                            const std::function<bool()>& defers);

}  // namespace policy_service
