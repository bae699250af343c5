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

void add_client(Facts& facts, const Connection& connection) {
  facts.text("client", connection.client() ? connection.client()->print() : "unknown");
  facts.text("helo", connection.helo());
}

void add_verdict(Facts& facts, const classifier::Verdict& verdict, Held held) {
  facts.text("pattern", classifier::name(verdict.pattern));
  facts.text("writer", classifier::name(verdict.writer));
  facts.text("path", classifier::name(verdict.path));
  facts.number("score", fmt::format("{:.1f}", verdict.score));
  facts.number("confidence", fmt::format("{:.2f}", verdict.confidence));
  facts.text("action", classifier::name(verdict.action));
  if (verdict.would != verdict.action) facts.text("would", classifier::name(verdict.would));
  if (held != Held::None) facts.text("held", name(held));
  if (verdict.block != 0) facts.number("block", std::to_string(verdict.block));
  facts.text("gait", verdict.gait);
  if (verdict.gait_class) facts.text("class", classifier::name(*verdict.gait_class));
  if (verdict.mss != 0) facts.number("mss", std::to_string(verdict.mss));
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

// Of those of our name that came with the message.
void add_headers(Facts& facts, const Judgement& judgement) {
  if (judgement.from_relay) facts.text("seal", seal::name(judgement.seal));
  const unsigned forged = judgement.forged();
  if (forged != 0) facts.number("forged", std::to_string(forged));
  if (judgement.deleted < forged) facts.number("deleted", std::to_string(judgement.deleted));
}

std::string joined(const std::vector<std::string>& reasons) {
  std::string text;
  for (const std::string& reason : reasons) {
    if (!text.empty()) text.append("; ");
    text.append(reason);
  }
  return text;
}

// All that is needed to judge the message again, offline: milter/offline/log_line reads it.
void log_trace(std::string_view queue_id, const Connection& connection,
               const Judgement& judgement) {
  if (!logging::enabled(logging::Level::Debug)) return;
  Facts facts;
  add_client(facts, connection);
  facts.text("reasons", joined(judgement.verdict.reasons));
  facts.text("trace", classifier::print(judgement.trace));
  logging::event(logging::Level::Debug, queue_id, "trace", facts.list());
}

}  // namespace

void log_message(std::string_view queue_id, const Connection& connection,
                 const Judgement& judgement, std::size_t max_runs) {
  Facts facts;
  add_client(facts, connection);
  if (judgement.flood) {
    facts.text("refused", "too many forged headers");
    add_headers(facts, judgement);
    logging::event(logging::Level::Info, queue_id, "message", facts.list());
    return;
  }
  if (judgement.exempt != Exemption::None) {
    facts.text("exempt", name(judgement.exempt));
    add_headers(facts, judgement);
    logging::event(logging::Level::Info, queue_id, "message", facts.list());
    return;
  }
  add_verdict(facts, judgement.verdict, judgement.decision.held);
  facts.text("tls", judgement.tls || judgement.trace.tls ? "yes" : "no");
  add_trace(facts, judgement.trace, max_runs);
  add_headers(facts, judgement);
  if (!judgement.verdict.reasons.empty()) {
    facts.text("why", classifier::print_why(judgement.verdict.reasons));
  }
  logging::event(logging::Level::Info, queue_id, "message", facts.list());
  log_trace(queue_id, connection, judgement);
}

}  // namespace filter
