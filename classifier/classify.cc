// The facade: pattern from both axes, score, verdict. Pure functions; any thread.
//
//     Trace ─► writes ─► features ─┬─► writer ─┬─► pattern ─► score ─► action
//                                  └─► path ───┘
#include "classifier/classify.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "classifier/axes.h"
#include "classifier/features.h"
#include "classifier/trace_text.h"
#include "classifier/writes.h"

namespace classifier {
namespace {

constexpr std::array<std::string_view, 4> kActionNames = {"none", "tempfail", "quarantine",
                                                          "reject"};

struct Match {
  Pattern pattern = Pattern::Indistinct;
  double confidence = 0;
};

// The talk's name for a writer on a path: the first row that holds (the order of DESIGN and of
// Pattern). What a bot does to a message shows through any path; a path shows through any other
// writer.
Match match(const WriterReading& writer, const PathReading& path) {
  const Match by_writer{Pattern::Indistinct, writer.strength};
  const auto named = [&](Pattern pattern) { return Match{pattern, writer.strength}; };
  if (writer.writer == Writer::Template) return named(Pattern::BotTemplate);
  if (writer.writer == Writer::HeadersApart) return named(Pattern::BotHeadersApart);
  if (path.path == PathShape::Fluctuating) return {Pattern::Mobile, path.strength};
  if (path.path == PathShape::Small) return {Pattern::GarageServer, path.strength};
  if (writer.writer == Writer::ReceivedFirst) return named(Pattern::Relay);
  if (writer.writer == Writer::Blocks && writer.block != 0 && writer.block % kKilobyte == 0) {
    return named(Pattern::KilobyteBlocks);
  }
  if (writer.writer == Writer::Lines) return named(Pattern::LineWriter);
  if ((writer.writer == Writer::Stream || writer.writer == Writer::Blocks) &&
      path.path == PathShape::Full) {
    return {Pattern::OfficialMta, std::min(writer.strength, path.strength)};
  }
  if (path.path == PathShape::Noisy) return {Pattern::Noisy, path.strength};
  return by_writer;
}

void append(std::vector<std::string>& all, std::vector<std::string>&& some) {
  for (std::string& reason : some) all.push_back(std::move(reason));
}

void score(Verdict& verdict, const Dialogue& dialogue, const Weights& weights) {
  const auto add = [&](std::string_view what, double weight) {
    if (weight == 0) return;
    verdict.score += weight;
    verdict.reasons.push_back(fmt::format("{} {:+.1f}", what, weight));
  };
  add(name(verdict.pattern),
      weights.pattern[static_cast<std::size_t>(verdict.pattern)] * verdict.confidence);
  if (dialogue.early_talker) add("talked before the greeting", weights.early_talker);
  if (dialogue.early_data) add("data before 354", weights.early_data);
  if (dialogue.split_command) add("command in two segments", weights.split_command);
  if (dialogue.bare_lf) add("command ended by bare LF", weights.bare_lf);
  if (dialogue.quit_with_dot) add("QUIT sent with the dot", weights.quit_with_dot);
}

Action action_for(const Verdict& verdict, const Policy& policy) {
  // What was not seen, or could not be told, is nobody's fault.
  if (verdict.pattern == Pattern::Unobserved || verdict.pattern == Pattern::Indistinct) {
    return Action::None;
  }
  if (verdict.confidence < policy.min_confidence) return Action::None;
  if (verdict.score >= policy.reject) return Action::Reject;
  if (verdict.score >= policy.quarantine) return Action::Quarantine;
  if (verdict.score >= policy.tempfail) return Action::Tempfail;
  return Action::None;
}

}  // namespace

std::string_view name(Action action) {
  const auto index = static_cast<std::size_t>(action);
  return index < kActionNames.size() ? kActionNames[index] : std::string_view("?");
}

// From the table in senders.md: who makes each pattern, legitimate programs among them. Headers
// apart is what several mail libraries do; a template's cuts no known program made.
Weights::Weights() {
  const auto set = [this](Pattern which, double weight) {
    pattern[static_cast<std::size_t>(which)] = weight;
  };
  set(Pattern::BotTemplate, 4.0);
  set(Pattern::BotHeadersApart, 1.0);
  set(Pattern::Mobile, 1.5);
  set(Pattern::GarageServer, 0.7);
  set(Pattern::Relay, 0.3);
  set(Pattern::KilobyteBlocks, 0.2);
  set(Pattern::LineWriter, 0.5);
  set(Pattern::OfficialMta, -1.0);
}

Verdict classify(const Trace& trace, const Policy& policy) {
  Verdict verdict;
  if (trace.state == State::Unobserved || trace.segments.empty()) {
    verdict.reasons.emplace_back(name(trace.reason));
    return verdict;
  }
  const Writes writes = recover_writes(trace);
  const Features features = extract(trace, writes);
  WriterReading writer = read_writer(trace, writes, features);
  PathReading path = read_path(writes, features, writer.writer);
  Match found = match(writer, path);
  // One segment is cut by nobody: neither axis has anything to go by.
  if (features.segments < 2) found = {Pattern::Indistinct, 0};

  verdict.pattern = found.pattern;
  verdict.confidence = found.confidence;
  verdict.writer = writer.writer;
  verdict.path = path.path;
  verdict.block = writer.block;
  verdict.mss = writes.full;
  verdict.writes = writes.sizes;
  append(verdict.reasons, std::move(writer.reasons));
  append(verdict.reasons, std::move(path.reasons));
  if (trace.state == State::Partial) {
    verdict.reasons.push_back(fmt::format("partial: {}", name(trace.reason)));
  }
  score(verdict, trace.dialogue, policy.weights);
  verdict.would = action_for(verdict, policy);
  if (policy.mode == Policy::Mode::Enforce) verdict.action = verdict.would;
  return verdict;
}

}  // namespace classifier
