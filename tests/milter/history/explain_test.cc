#include "milter/history/explain.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>

#include "classifier/trace_text.h"
#include "milter/filter/header.h"
#include "tests/support/sightings.h"

using history::explain;
using history::outcome;
using history::Row;

namespace {

// As the store has the bot of the slides.
Row bot_row() {
  const auto sighting = memory::bot_sighting();
  const auto& verdict = sighting.verdict;
  Row row;
  row.score = verdict.score;
  row.confidence = verdict.confidence;
  row.mss = verdict.mss;
  row.pattern = name(verdict.pattern);
  row.writer = name(verdict.writer);
  row.path = name(verdict.path);
  row.gait = verdict.gait;
  row.would = "tempfail";
  row.action = "none";
  row.held = "monitor";
  row.basis = "evidence";
  for (std::size_t i = 0; i < verdict.reasons.size(); ++i) {
    if (verdict.reasons.because(i) != classifier::Because::Term) continue;
    const auto term = verdict.reasons.term(i);
    row.terms +=
        fmt::format("{}{}:{:+.4g}", row.terms.empty() ? "" : ",", term.sign->key, term.weight);
  }
  row.trace = classifier::print(sighting.trace);
  return row;
}

}  // namespace

TEST_CASE("a message is explained as it was judged") {
  const auto sighting = memory::bot_sighting();
  const auto explained = explain(bot_row(), {});
  REQUIRE(explained.trace);
  CHECK(*explained.trace == sighting.trace);
  CHECK_FALSE(explained.is_judged_otherwise);
  CHECK(explained.verdict.writes == sighting.verdict.writes);
  CHECK(explained.verdict.reasons.sentences() == sighting.verdict.reasons.sentences());
  double sum = explained.rest;
  for (const auto& reason : explained.reasons) sum += reason.part.value_or(0);
  CHECK(sum == Approx(sighting.verdict.score));
  CHECK(std::abs(explained.rest) < 0.005);
  CHECK(explained.decision == sighting.decision);
}

TEST_CASE("the header field is printed as it was added") {
  const auto sighting = memory::bot_sighting();
  const auto explained = explain(bot_row(), {});
  CHECK(filter::header_value("mx1", *explained.trace, explained.verdict, explained.decision, false,
                             40) == filter::header_value("mx1", sighting.trace, sighting.verdict,
                                                         sighting.decision, false, 40));
}

TEST_CASE("the labels are those of the row, whatever this program says today") {
  auto row = bot_row();
  row.pattern = "relay";
  row.terms = "relay:+0.5";
  row.score = 0.5;
  const auto explained = explain(row, {});
  CHECK(explained.is_judged_otherwise);
  CHECK(explained.verdict.pattern == classifier::Pattern::Relay);
  CHECK(explained.reasons.back().sentence == "relay");
  CHECK(explained.reasons.back().part == 0.5);
  CHECK(explained.rest == 0);
}

TEST_CASE("the terms are read as the store writes them") {
  struct Case {
    const char* terms;
    const char* sentences;
    double rest;  // of a score of 10
  };
  const Case cases[] = {
      {"", "", 10},
      {"early-talker:+3", "talked before the greeting;", 7},
      {"contradiction(exim):+3,quit-with-dot:-1", "claims to be exim;QUIT sent with the dot;", 8},
      {"contradiction(a,b (c)):+3,early-data:+2", "claims to be a,b (c);data before 354;", 5},
      {"not-known-yet:+1.5,early-data:+2", "not-known-yet;data before 354;", 6.5},
      {"early-data:+2,broken", "data before 354;", 8},
      {"early-data:x", "", 10},
      {"contradiction(exim:+3", "", 10},
  };
  for (const auto& one : cases) {
    INFO(one.terms);
    Row row = bot_row();
    row.trace = "";
    row.score = 10;
    row.terms = one.terms;
    const auto explained = explain(row, {});
    std::string sentences;
    for (const auto& reason : explained.reasons) sentences += reason.sentence + ";";
    CHECK(sentences == one.sentences);
    CHECK(explained.rest == Approx(one.rest));
  }
}

TEST_CASE("a row whose trace cannot be read keeps its labels") {
  auto row = bot_row();
  row.trace = "segmilter/9 what";
  const auto explained = explain(row, {});
  CHECK_FALSE(explained.trace);
  CHECK(explained.verdict.pattern == classifier::Pattern::BotTemplate);
  CHECK(explained.verdict.writes.empty());
  CHECK_FALSE(explained.reasons.empty());
}

TEST_CASE("what was done is told with what held it back") {
  using classifier::Action;
  using policy::Basis;
  using policy::HeldBackBy;
  struct Case {
    policy::Decision decision;
    Basis basis;
    const char* says;
  };
  const Case cases[] = {
      {{}, Basis::Evidence, "the message was accepted; nothing asked for another action"},
      {{Action::Reject, Action::Reject, HeldBackBy::None},
       Basis::Evidence,
       "the message was rejected (reject), as the score asked"},
      {{Action::None, Action::Reject, HeldBackBy::Monitor},
       Basis::Evidence,
       "accepted in mode \"monitor\"; the score asked that it be rejected (reject), which mode"},
      {{Action::Tempfail, Action::Reject, HeldBackBy::Percent},
       Basis::Evidence,
       "deferred (tempfail); the score asked that it be rejected (reject), but the client is not "
       "in"},
      {{Action::None, Action::Tempfail, HeldBackBy::Breaker},
       Basis::Evidence,
       "but the circuit breaker had suspended"},
      {{Action::Tempfail, Action::Tempfail, HeldBackBy::None},
       Basis::Unobserved,
       "deferred (tempfail), as policy.on_unobserved asked"},
      {{Action::Tempfail, Action::Tempfail, HeldBackBy::None}, Basis::Failed, "policy.on_error"},
  };
  for (const auto& one : cases)
    CHECK_THAT(outcome(one.decision, one.basis), Catch::Contains(one.says));
}
