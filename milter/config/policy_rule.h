// [[policy_service.rule]]: the conditions of a rule of the policy service, and its answer. Plain
// values, and the texts of an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milter/net/address.h"

namespace config {

// When Postfix asks: its attribute protocol_state. Other states (VRFY, ETRN) are never answered.
enum class PolicyState : std::uint8_t { Connect, Helo, Mail, Rcpt, Data, EndOfMessage };
inline constexpr std::size_t kPolicyStates = 6;
// "CONNECT", "HELO" (also for EHLO), "MAIL", "RCPT", "DATA", "END-OF-MESSAGE".
std::string_view name(PolicyState state);
constexpr std::uint32_t bit_of(PolicyState state) {
  return 1U << static_cast<unsigned>(state);
}

// A network's kind of access ("cellular") as the bit of its reputation::Access; 0: there is no such
// kind. The kinds of some bits.
std::uint32_t access_bit(std::string_view word);
std::vector<std::string_view> print_access(std::uint32_t bits);

// What Postfix is told to do, as access(5) has it. There is no answer that permits something: it
// would end the list of restrictions before those that forbid to relay.
struct PolicyAnswer {
  enum class Kind : std::uint8_t {
    Dunno,
    Defer,
    DeferIfPermit,
    Reject,
    Hold,
    Prepend,
    Filter,
    Class
  };
  static constexpr std::size_t kKinds = 8;
  Kind kind = Kind::Dunno;
  std::string text = "DUNNO";  // the whole answer: "REJECT 5.7.1 Refused", "PREPEND X-A: b"

  bool operator==(const PolicyAnswer&) const = default;
};
// "dunno", "defer", "defer_if_permit", "reject", "hold", "prepend", "filter", "class".
std::string_view name(PolicyAnswer::Kind kind);

// Returns the answer, or the reason why `text` is refused.
std::variant<PolicyAnswer, std::string> parse_policy_answer(std::string_view text);

// A rule holds if each of its conditions does, and a condition on something that is not known does
// not. The first rule that holds gives the answer.
struct PolicyRule {
  static constexpr std::size_t kMost = 64;  // chosen; each question is compared with all of them
  std::uint32_t states = 0;                 // bits of PolicyState; 0: each one
  std::optional<double> reputation;         // the term of the client's reputation, at least
  std::uint32_t talk = 0;                   // any of these words of the dialogue; 0: no condition
  std::uint32_t patterns = 0;               // any of these bits of classifier::Pattern; likewise
  std::optional<double> score;              // the score of the message, at least
  std::uint32_t access = 0;                 // any of these bits of reputation::Access; likewise
  std::vector<std::string> listeners;       // any of these; empty: no condition
  std::vector<net::Network> networks;       // the client is in one of these; empty: no condition
  // Only until the client has come again in time (policy_service/greylist.h).
  bool greylist = false;
  PolicyAnswer answer;

  // Pattern and score are known at the end of the message only.
  bool is_about_message() const { return patterns != 0 || score.has_value(); }
};

// Returns an empty text, or the reason why the parts of the rule do not fit together.
std::string check_policy_rule(const PolicyRule& rule);

// Fills in the states of a rule that names none but is meant for one state: the end of the message
// for its pattern and score, RCPT for greylisting, which needs a recipient.
void complete_states(PolicyRule& rule);

}  // namespace config
