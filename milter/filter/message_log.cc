#include "milter/filter/message_log.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/log/log.h"

namespace filter {
namespace {

class Facts {
 public:
  Facts& text(std::string_view key, std::string_view value) {
    list_.push_back({key, std::string(value), false});
    return *this;
  }
  Facts& number(std::string_view key, std::string value) {
    list_.push_back({key, std::move(value), true});
    return *this;
  }
  const std::vector<logging::Fact>& list() const { return list_; }

 private:
  std::vector<logging::Fact> list_;
};

void add_client(Facts& facts, const Record& record) {
  const auto& client = record.sighting.client;
  facts.text("client", client ? client->print() : "unknown");
  facts.text("helo", record.helo);
}

void add_verdict(Facts& facts, const classifier::Verdict& verdict,
                 const policy::Decision& decision) {
  facts.text("pattern", classifier::name(verdict.pattern));
  facts.text("writer", classifier::name(verdict.writer));
  facts.text("path", classifier::name(verdict.path));
  facts.number("score", fmt::format("{:.1f}", verdict.score));
  facts.number("confidence", fmt::format("{:.2f}", verdict.confidence));
  facts.text("action", classifier::name(decision.action));
  if (decision.would != decision.action) facts.text("would", classifier::name(decision.would));
  if (decision.held != policy::HeldBackBy::None) facts.text("held", name(decision.held));
  if (verdict.block != 0) facts.number("block", std::to_string(verdict.block));
  facts.text("gait", verdict.gait);
  if (const auto kind = verdict.unnamed_class()) facts.text("class", classifier::name(*kind));
  if (verdict.mss != 0) facts.number("mss", std::to_string(verdict.mss));
}

// The levels themselves are among the reasons.
void add_standing(Facts& facts, const reputation::Standing& standing) {
  const auto& network = standing.network;
  if (standing.term != 0) facts.number("reputation", fmt::format("{:.1f}", standing.term));
  if (network.asn) facts.number("asn", std::to_string(*network.asn));
  if (network.access != reputation::Access::Unknown) facts.text("access", name(network.access));
  if (!network.country.empty()) facts.text("country", network.country);
}

void add_trace(Facts& facts, const classifier::Trace& trace, std::size_t max_runs) {
  if (trace.reason != classifier::Reason::None) {
    facts.text("reason", classifier::name(trace.reason));
  }
  facts.number("message", std::to_string(trace.message));
  if (trace.state == classifier::State::Unobserved) return;
  facts.text("via", classifier::name(trace.via));
  if (classifier::unread(trace)) facts.text("window", classifier::name(trace.window));
  if (trace.miss != 0) facts.number("miss", std::to_string(trace.miss));
  facts.number("size", std::to_string(trace.size));
  facts.text("segments", classifier::print_sizes(trace, max_runs));
}

// How many headers of our name came with the message, and how many of them were deleted.
void add_headers(Facts& facts, const Record& record) {
  if (record.from_relay) facts.text("seal", seal::name(record.seal));
  if (record.forged != 0) facts.number("forged", std::to_string(record.forged));
  if (record.deleted < record.forged) facts.number("deleted", std::to_string(record.deleted));
}

// All that is needed to judge the message again offline: milter/offline/log_line reads it.
void log_trace(const Record& record) {
  if (!logging::enabled(logging::Level::Debug)) return;
  const auto& sighting = record.sighting;
  Facts facts;
  add_client(facts, record);
  facts.text("reasons", fmt::format("{}", fmt::join(sighting.verdict.reasons.sentences(), "; ")));
  facts.text("trace", classifier::print(sighting.trace));
  logging::event(logging::Level::Debug, sighting.queue_id, "trace", facts.list());
}

void add_judgement(Facts& facts, const memory::Sighting& sighting, std::size_t max_runs) {
  add_verdict(facts, sighting.verdict, sighting.decision);
  facts.text("tls", sighting.tls ? "yes" : "no");
  add_trace(facts, sighting.trace, max_runs);
}

}  // namespace

void MessageLog::take(const Record& record, const config::Config& settings) {
  const auto& sighting = record.sighting;
  Facts facts;
  add_client(facts, record);
  if (record.flood) {
    facts.text("refused", "too many forged headers");
  } else if (record.exempt != Exemption::None) {
    facts.text("exempt", name(record.exempt));
  } else {
    add_judgement(facts, sighting, settings.header.max_runs);
    if (record.standing) add_standing(facts, *record.standing);
  }
  add_headers(facts, record);
  if (record.judged() && !sighting.verdict.reasons.empty()) {
    facts.text("why", classifier::print_why(sighting.verdict.reasons));
  }
  logging::event(logging::Level::Info, sighting.queue_id, "message", facts.list());
  if (record.judged()) log_trace(record);
}

}  // namespace filter
