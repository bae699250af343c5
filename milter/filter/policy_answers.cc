#include "milter/filter/policy_answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "classifier/dialogue_words.h"
#include "milter/evidence/client.h"
#include "milter/log/log.h"

namespace filter {
namespace {

using classifier::Action;
using classifier::Reason;
using config::PolicyAnswer;
using config::PolicyState;
using policy_service::Known;
using policy_service::Request;

// What an answer counts as for mode, roll-out and breaker. Mail that is marked or takes another way
// can still be delivered, as mail on hold can. What a class of restrictions does is not known here;
// it is there to be strict.
Action action_of(PolicyAnswer::Kind kind) {
  switch (kind) {
    case PolicyAnswer::Kind::Dunno:
      return Action::None;
    case PolicyAnswer::Kind::Defer:
    case PolicyAnswer::Kind::DeferIfPermit:
    case PolicyAnswer::Kind::Class:
      return Action::Tempfail;
    case PolicyAnswer::Kind::Reject:
      return Action::Reject;
    case PolicyAnswer::Kind::Hold:
    case PolicyAnswer::Kind::Prepend:
    case PolicyAnswer::Kind::Filter:
      return Action::Quarantine;
  }
  return Action::None;
}

// Whether the trace has the whole of what a verdict rests on. Under TLS and on the wire the text is
// shown to the milter only, which Postfix asks later.
bool is_judged_alone(const classifier::Trace& trace) {
  return trace.state != classifier::State::Unobserved && !classifier::unread(trace);
}

Exemption exemption(const Request& request, const config::Config& settings) {
  const auto exempt = exemption_of(
      {request.client, request.client_name, request.helo, request.authenticated}, settings.exempt);
  if (exempt != Exemption::None || !request.client) return exempt;
  return net::contains(settings.seal.believe_from, *request.client) ? Exemption::Relay
                                                                    : Exemption::None;
}

std::uint16_t port_of(const Request& request, const std::optional<Sessions::Session>& session) {
  if (session && session->port != 0) return session->port;
  return request.server ? request.server->port() : 0;
}

// The first word alone of an answer that is a word and a text, for the log.
std::string word_of(const PolicyAnswer& answer) {
  return answer.text.substr(0, answer.text.find(' '));
}

// One line for each question for which a rule asked for something else than DUNNO; all questions at
// the level debug. Neither sender nor recipient is logged.
void tell(const Request& request, const config::Config& settings, const Known& known,
          Exemption exempt, std::optional<std::size_t> rule, const policy::Decision& decision,
          const PolicyAnswer& answer) {
  const bool asks =
      rule && settings.policy_service.rules[*rule].answer.kind != PolicyAnswer::Kind::Dunno;
  const auto level = asks ? logging::Level::Info : logging::Level::Debug;
  if (!logging::enabled(level)) return;
  std::vector<logging::Fact> facts = {
      {"client", request.client ? request.client->print() : "unknown"},
      {"state", std::string(name(known.state))},
      {"answer", word_of(answer)},
  };
  const auto add = [&facts](std::string_view key, std::string value, bool number = false) {
    facts.push_back({key, std::move(value), number});
  };
  if (exempt != Exemption::None) add("exempt", std::string(name(exempt)));
  if (rule) add("rule", std::to_string(*rule + 1), true);
  if (asks && decision.held != policy::HeldBackBy::None) {
    add("would", word_of(settings.policy_service.rules[*rule].answer));
    add("held", std::string(name(decision.held)));
  }
  if (known.reputation) add("reputation", fmt::format("{:.1f}", *known.reputation), true);
  if (known.access != 0) add("access", std::string(config::print_access(known.access).front()));
  if (known.talk != 0) add("talk", classifier::print_words(known.talk));
  if (known.pattern) add("pattern", std::string(classifier::name(*known.pattern)));
  if (known.score) add("score", fmt::format("{:.1f}", *known.score), true);
  logging::event(level, request.queue_id, "policy", facts);
}

}  // namespace

std::variant<std::uint32_t, Reason> PatientEvidence::ask_talk(
    const evidence::SessionQuestion& question) {
  if (rests()) return Reason::Busy;
  const auto settings = service_.settings();
  const evidence::Client observer(settings->evidence.socket, settings->filter.evidence_timeout);
  auto answer = observer.ask_talk(question);
  if (const auto* reason = std::get_if<Reason>(&answer)) note(*reason);
  return answer;
}

classifier::Trace PatientEvidence::ask(const evidence::Question& question) {
  if (rests()) return classifier::unobserved(Reason::Busy, question.after + 1);
  const auto settings = service_.settings();
  const evidence::Client observer(settings->evidence.socket, settings->filter.evidence_timeout);
  auto trace = observer.ask(question);
  note(trace.reason);
  return trace;
}

void PatientEvidence::note(Reason reason) {
  if (reason != Reason::Timeout) return;
  rests_until_ = std::chrono::steady_clock::now() + kRest;
}

std::string PolicyAnswers::answer(const Request& request) {
  if (!request.state) {
    ++counters_.questions_other;
    return PolicyAnswer().text;
  }
  ++counters_.questions[static_cast<std::size_t>(*request.state)];
  const auto settings = service_.settings();
  const Outcome outcome = judge(request, *settings, *request.state);
  count(outcome);
  tell(request, *settings, outcome.known, outcome.exempt, outcome.rule, outcome.decision,
       outcome.answer);
  return outcome.answer.text;
}

PolicyAnswers::Outcome PolicyAnswers::judge(const Request& request, const config::Config& settings,
                                            PolicyState state) {
  Outcome outcome;
  outcome.known.state = state;
  outcome.known.client = request.client;
  outcome.exempt = exemption(request, settings);
  if (outcome.exempt != Exemption::None || !request.client) return outcome;
  const auto session =
      request.client->port() != 0 ? sessions_.find(*request.client, request.server) : std::nullopt;
  const auto* listener =
      config::listener_for(settings, session ? session->daemon : "", port_of(request, session));
  outcome.known.listener = listener != nullptr ? listener->name : session ? session->daemon : "";
  find_out(request, settings, session ? &*session : nullptr, outcome.known);
  const auto& service = settings.policy_service;
  outcome.rule = policy_service::first_that_holds(service.rules, outcome.known, [&] {
    const bool defers = greylist_.defers(*request.client, request.sender, request.recipient,
                                         service, std::chrono::steady_clock::now());
    ++(defers ? counters_.greylist_deferred : counters_.greylist_passed);
    return defers;
  });
  if (!outcome.rule) return outcome;
  const PolicyAnswer& asked = service.rules[*outcome.rule].answer;
  outcome.decision = decide(request, settings, asked, listener);
  if (outcome.decision.action != Action::None) outcome.answer = asked;
  return outcome;
}

void PolicyAnswers::find_out(const Request& request, const config::Config& settings,
                             const Sessions::Session* session, Known& known) {
  const auto wanted = policy_service::wanted(settings.policy_service.rules, known.state);
  if (wanted.background && background_) {
    const Background background = background_(*request.client);
    known.reputation = background.reputation;
    known.access = background.access;
  }
  if (session == nullptr) return;
  if (wanted.talk) {
    const auto talk = evidence_.ask_talk({session->client, session->server, session->began});
    if (const auto* words = std::get_if<std::uint32_t>(&talk)) known.talk = *words;
  }
  if (!wanted.verdict || known.state != PolicyState::EndOfMessage || request.tls) return;
  const auto* listener = config::listener_for(settings, session->daemon, session->port);
  find_verdict(request, listener != nullptr ? listener->policy : settings.policy, *session, known);
}

// Postfix asks the policy services before it shows the message to the milters. So what is compared
// with the trace is the size alone, and the header's claims are not known yet.
void PolicyAnswers::find_verdict(const Request& request, const classifier::Policy& policy,
                                 const Sessions::Session& session, Known& known) {
  evidence::Question question{.client = session.client,
                              .server = session.server,
                              .began = session.began,
                              .after = session.judged};
  question.shown.text = request.size;
  const auto trace = evidence_.ask(question);
  if (!is_judged_alone(trace)) return;
  const auto verdict = classifier::classify(trace, policy);
  if (policy::basis_of(trace, verdict.pattern) != policy::Basis::Evidence) return;
  known.pattern = verdict.pattern;
  if (verdict.confidence >= policy.min_confidence) known.score = verdict.score;
}

policy::Decision PolicyAnswers::decide(const Request& request, const config::Config& settings,
                                       const PolicyAnswer& asked,
                                       const config::Listener* listener) {
  const Action would = action_of(asked.kind);
  if (would == Action::None) return {};
  const auto& enforcement = listener != nullptr ? listener->enforcement : settings.enforcement;
  const auto decision = policy::decide_rule(
      would, enforcement, policy::rollout_place(&*request.client, enforcement.percent_key));
  if (!policy::is_refusal(decision.action)) return decision;
  // A message that is let in is counted at its end, by the milter.
  if (is_counted(request.instance)) {
    return service_.breaker_is_open() ? policy::suspended(decision) : decision;
  }
  return service_.through_breaker(settings, request.client, decision,
                                  std::chrono::steady_clock::now());
}

bool PolicyAnswers::is_counted(const std::string& instance) {
  const auto hash = std::hash<std::string>{}(instance);
  if (std::find(counted_.begin(), counted_.end(), hash) != counted_.end()) return true;
  if (counted_.size() == kMostCounted) counted_.pop_front();
  counted_.push_back(hash);
  return false;
}

void PolicyAnswers::count(const Outcome& outcome) {
  ++counters_.answers[static_cast<std::size_t>(outcome.answer.kind)];
  policy::count_held(outcome.decision.held, counters_);
}

}  // namespace filter
