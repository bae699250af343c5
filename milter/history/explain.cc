#include "milter/history/explain.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

#include "classifier/trace_text.h"
#include "milter/history/words.h"

namespace history {
namespace {

using classifier::Because;
using classifier::Verdict;

// A term of the store, "contradiction(exim):+3".
struct StoredTerm {
  std::string_view key;
  std::string_view about;
  double weight = 0;
};

// Takes the first term. Returns nothing if the rest of the text is not a term.
std::optional<StoredTerm> take_term(std::string_view& text) {
  StoredTerm term;
  term.key = text.substr(0, text.find_first_of(":("));
  text.remove_prefix(term.key.size());
  if (text.starts_with('(')) {
    const auto end = text.find("):");
    if (end == text.npos) return std::nullopt;
    term.about = text.substr(1, end - 1);
    text.remove_prefix(end + 1);
  }
  if (!text.starts_with(':')) return std::nullopt;
  text.remove_prefix(1);
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto weight = decimal(text.substr(0, text.find(',')));
  text.remove_prefix(std::min(text.size(), text.find(',')));
  if (text.starts_with(',')) text.remove_prefix(1);
  if (!weight) return std::nullopt;
  term.weight = *weight;
  return term;
}

// A sign that this program does not know is shown by its key.
void add_term(const StoredTerm& term, Explanation& all) {
  const auto& signs = classifier::kSigns;
  const auto sign = std::find_if(signs.begin(), signs.end(),
                                 [&term](const auto& one) { return one.key == term.key; });
  if (sign == signs.end()) {
    all.reasons.push_back({std::string(term.key), term.weight});
  } else {
    const classifier::Term known{&*sign, term.weight, term.about};
    all.verdict.reasons.add_term(known);
    all.reasons.push_back({known.sentence(), term.weight});
  }
  all.rest -= term.weight;
}

void add_terms(std::string_view text, Explanation& all) {
  while (!text.empty()) {
    const auto term = take_term(text);
    if (!term) return;
    add_term(*term, all);
  }
}

// The reasons of the labels, without any term of the score.
Verdict judged_again(const classifier::Trace& trace, classifier::Policy policy) {
  for (const auto& sign : classifier::kSigns) sign.weight(policy.weights) = 0;
  return classifier::classify(trace, policy);
}

void set_labels(const Row& row, Verdict& verdict) {
  verdict.pattern =
      classifier::pattern_named(row.pattern).value_or(classifier::Pattern::Unobserved);
  verdict.writer = classifier::writer_named(row.writer).value_or(classifier::Writer::Unknown);
  verdict.path = classifier::path_named(row.path).value_or(classifier::PathShape::Unknown);
  verdict.confidence = row.confidence;
  verdict.score = row.score;
  verdict.block = row.block;
  verdict.mss = row.mss;
  verdict.gait = row.gait.empty() ? "unknown" : row.gait;
  verdict.gait_class = named<classifier::GaitClass>(row.gait_class);
}

policy::Decision decision_of(const Row& row) {
  using classifier::Action;
  return {.action = named<Action>(row.action).value_or(Action::None),
          .would = named<Action>(row.would).value_or(Action::None),
          .held = named<policy::HeldBackBy>(row.held).value_or(policy::HeldBackBy::None)};
}

std::string_view done(classifier::Action action) {
  using classifier::Action;
  switch (action) {
    case Action::None:
      return "accepted";
    case Action::Tempfail:
      return "deferred (tempfail)";
    case Action::Quarantine:
      return "put on hold (quarantine)";
    case Action::Reject:
      return "rejected (reject)";
  }
  return "";
}

}  // namespace

Explanation explain(const Row& row, const classifier::Policy& policy) {
  Explanation all;
  const auto parsed = classifier::parse_trace(row.trace);
  if (const auto* trace = std::get_if<classifier::Trace>(&parsed); trace && !row.trace.empty()) {
    all.trace = *trace;
    all.verdict = judged_again(*trace, policy);
    all.is_judged_otherwise = name(all.verdict.pattern) != row.pattern ||
                              name(all.verdict.writer) != row.writer ||
                              name(all.verdict.path) != row.path;
    for (auto& sentence : all.verdict.reasons.sentences()) {
      all.reasons.push_back({std::move(sentence), std::nullopt});
    }
  }
  set_labels(row, all.verdict);
  all.decision = decision_of(row);
  all.rest = row.score;
  add_terms(row.terms, all);
  return all;
}

std::string outcome(const policy::Decision& decision, policy::Basis basis) {
  using policy::HeldBackBy;
  const std::string asked = basis == policy::Basis::Evidence ? "the score"
                            : basis == policy::Basis::Failed ? "policy.on_error"
                                                             : "policy.on_unobserved";
  const auto was = fmt::format("the message was {}", done(decision.action));
  if (decision.would == classifier::Action::None) {
    return fmt::format("{}; nothing asked for another action", was);
  }
  if (decision.held == HeldBackBy::None) return fmt::format("{}, as {} asked", was, asked);
  const auto would = fmt::format("{} asked that it be {}", asked, done(decision.would));
  switch (decision.held) {
    case HeldBackBy::None:
      break;
    case HeldBackBy::Monitor:
      return fmt::format(
          "{} in mode \"monitor\"; {}, which mode \"enforce\" does for the clients of its "
          "percentage",
          was, would);
    case HeldBackBy::Percent:
      return fmt::format("{}; {}, but the client is not in the percentage for which this is done",
                         was, would);
    case HeldBackBy::Breaker:
      return fmt::format("{}; {}, but the circuit breaker had suspended refusals", was, would);
  }
  return was;
}

policy::Basis basis_of(const Row& row) {
  return named<policy::Basis>(row.basis).value_or(policy::Basis::Evidence);
}

}  // namespace history
