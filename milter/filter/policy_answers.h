// What the policy service answers: a request of Postfix is joined with the client's session, what
// is known of it is put before the rules, and what a rule asks for goes through the same mode,
// roll-out, breaker and exemptions as the action for a message.
//
//     request ─┬─► Sessions ─► which session ─► evidence: dialogue so far, the message's trace
//              └─► reputation of the address         │
//                                                    ▼
//                               Known ─► rules ─► decision ─► breaker ─► answer, log line
//
// The answer is DUNNO if it is not certain which session the question is about, or if nothing is
// known of that session. Used by the policy service's thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <variant>

#include "milter/evidence/question.h"
#include "milter/filter/connection.h"
#include "milter/filter/exemption.h"
#include "milter/filter/service.h"
#include "milter/filter/sessions.h"
#include "milter/policy/decision.h"
#include "milter/policy_service/counters.h"
#include "milter/policy_service/greylist.h"
#include "milter/policy_service/request.h"
#include "milter/policy_service/rules.h"

namespace filter {

// Answers the policy service's questions about what was seen.
class DialogueSource {
 public:
  virtual ~DialogueSource() = default;
  // As evidence::Client::ask_talk and ask.
  virtual std::variant<std::uint32_t, classifier::Reason> ask_talk(
      const evidence::SessionQuestion& question) = 0;
  virtual classifier::Trace ask(const evidence::Question& question) = 0;
};

// The evidence socket, for one thread that answers for all of Postfix. An observer that has not
// answered in time is left alone for kRest, so that each question does not wait for it again.
class PatientEvidence final : public DialogueSource {
 public:
  // Chosen, not measured: an observer that was killed is back within a second; one that hangs costs
  // one time limit in this time.
  static constexpr std::chrono::seconds kRest{2};

  explicit PatientEvidence(const Service& service) : service_(service) {}
  std::variant<std::uint32_t, classifier::Reason> ask_talk(
      const evidence::SessionQuestion& question) override;
  classifier::Trace ask(const evidence::Question& question) override;

 private:
  bool rests() const { return std::chrono::steady_clock::now() < rests_until_; }
  void note(classifier::Reason reason);

  const Service& service_;
  std::chrono::steady_clock::time_point rests_until_{};
};

class PolicyAnswers {
 public:
  // What is known of a client besides what it does now.
  struct Background {
    std::optional<double> reputation;  // the term that it adds to a score; nothing: not known
    std::uint32_t access = 0;          // the bit of its kind of access; 0: not known
  };
  using Ask = std::function<Background(const net::Endpoint& client)>;

  // All must outlive this object; `background` may be empty.
  PolicyAnswers(Service& service, const Sessions& sessions, DialogueSource& evidence,
                Ask background, policy_service::Counters& counters)
      : service_(service),
        sessions_(sessions),
        evidence_(evidence),
        background_(std::move(background)),
        counters_(counters) {}

  // Returns the text after "action=".
  std::string answer(const policy_service::Request& request);

 private:
  struct Outcome {
    policy_service::Known known;
    Exemption exempt = Exemption::None;
    std::optional<std::size_t> rule;  // its number, from 0
    policy::Decision decision;
    config::PolicyAnswer answer;  // as it is given
  };

  Outcome judge(const policy_service::Request& request, const config::Config& settings,
                config::PolicyState state);
  void find_out(const policy_service::Request& request, const config::Config& settings,
                const Sessions::Session* session, policy_service::Known& known);
  void find_verdict(const policy_service::Request& request, const classifier::Policy& policy,
                    const Sessions::Session& session, policy_service::Known& known);
  policy::Decision decide(const policy_service::Request& request, const config::Config& settings,
                          const config::PolicyAnswer& asked, const config::Listener* listener);
  bool is_counted(const std::string& instance);
  void count(const Outcome& outcome);

  Service& service_;
  const Sessions& sessions_;
  DialogueSource& evidence_;
  const Ask background_;
  policy_service::Counters& counters_;
  policy_service::Greylist greylist_;
  // The messages that the breaker counted last, as hashes of Postfix's `instance`: one that is
  // refused at each of its recipients counts once.
  static constexpr std::size_t kMostCounted = 256;  // chosen: more than are refused at a time
  std::deque<std::size_t> counted_;
};

}  // namespace filter
