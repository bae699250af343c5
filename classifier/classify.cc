// The facade: pattern from both axes, score, verdict. Pure functions; any thread.
//
//     Trace ─► writes ─► features ─┬─► writer ─┬─► pattern ─► score ─► what it asks for
//                                  └─► path ───┘
#include "classifier/classify.h"

#include <algorithm>
#include <array>
#include <utility>

#include "classifier/axes.h"
#include "classifier/enum_names.h"
#include "classifier/features.h"
#include "classifier/trace_text.h"
#include "classifier/writes.h"

namespace classifier {
namespace {

constexpr auto kActionNames =
    std::to_array<std::string_view>({"none", "tempfail", "quarantine", "reject"});

struct Match {
  Pattern pattern = Pattern::Indistinct;
  double confidence = 0;
};

// One segment is cut by nobody: neither axis has anything to go by, and that is sure.
constexpr Match kOneSegment{Pattern::Indistinct, 0.98};
constexpr Match kNotSeen{Pattern::Unobserved, 0};

// What a bot does to a message shows through any path, and comes first. Where the writer was not
// seen, one message in four of a small or moving path was such a one (the lab's recordings, cut to
// 68 to 256 bytes a packet).
constexpr double kHiddenWriter = 0.25;
// Where answers are assumed: that the commands were taken, and what the server announced. The lab's
// recordings without the server's side have no more wrong labels than with it.
constexpr double kOneSided = 0.05;

// As if new, but the memory is kept.
void reset(Verdict& verdict) {
  verdict.pattern = Pattern::Unobserved;
  verdict.writer = Writer::Unknown;
  verdict.path = PathShape::Unknown;
  verdict.confidence = 0;
  verdict.score = 0;
  verdict.asks = Action::None;
  verdict.block = 0;
  verdict.mss = 0;
  verdict.gait = "unknown";
  verdict.gait_class.reset();
  verdict.writes.clear();
  verdict.reasons.clear();
}

// The talk's name for a writer on a path: the first row that holds (the order of DESIGN and of
// Pattern). What a bot does to a message shows through any path; a path shows through any other
// writer.
Match match(const WriterReading& writer, PathReading path) {
  if (writer.hidden) path.strength -= kHiddenWriter;
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

// Gives the verdict its gait.
void name_gait(const GaitBook& book, const Traits& traits, Verdict& verdict) {
  const Guess guess = book.match(traits);
  verdict.gait_class = guess.kind;
  if (const Gait* gait = guess.gait) {
    verdict.gait = gait->name;
    verdict.gait_class = gait->kind;
    // Of a single end at 2048 nobody knows whether it is the first of 2048 or the second of 1024; a
    // program that is known writes what it always does.
    const std::uint32_t known = gait->blocks[0];
    const bool only = known != 0 && gait->blocks[1] == 0;
    if (only && verdict.block > known && verdict.block % known == 0) verdict.block = known;
  } else if (verdict.writer == Writer::Blocks && verdict.block % kKilobyte == 0) {
    verdict.reasons.add(Because::Relayed, verdict.block);
  }
}

// The gait that the message claims and cannot have; empty: none. A claim is held against a message
// only on good evidence: enough segments, and a reading that is sure of itself.
std::string_view contradicted_gait(const Claims* claims, const GaitBook& book, const Traits& traits,
                                   const Features& features, const Verdict& verdict) {
  constexpr std::uint32_t kEnoughSegments = 3;
  constexpr double kSure = 0.8;
  if (claims == nullptr || verdict.confidence < kSure) return {};
  if (features.segments < kEnoughSegments) return {};
  const ClaimTable::Row* claim = ClaimTable::builtin().claimed(*claims);
  if (claim == nullptr || !contradicts(*claim, book, traits)) return {};
  // The table's word and not the message's: reasons go into log and header.
  return claim->gaits.front();
}

void add_term(const Term& term, Verdict& verdict) {
  if (term.weight == 0) return;
  verdict.score += term.weight;
  verdict.reasons.add_term(term);
}

// The walk through the table is unrolled: in a loop each sign costs a call, and all of them a tenth
// of the time in which a short message is judged.
template <std::size_t... kRow>
void score(const Seen& seen, const Weights& weights, Verdict& verdict,
           std::index_sequence<kRow...>) {
  (add_term(kSigns[kRow].term(seen, weights), verdict), ...);
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
  return word(kActionNames, action);
}

void classify(const Trace& trace, const Policy& policy, Scratch& scratch, Verdict& verdict,
              const Claims* claims) {
  reset(verdict);
  if (trace.state == State::Unobserved || trace.segments.empty()) {
    verdict.reasons.add_text(Because::Text, name(trace.reason));
    return;
  }
  recover_writes(trace, scratch.writes);
  extract(trace, scratch.writes, scratch.features);
  const Writes& writes = scratch.writes;
  const Features& features = scratch.features;
  const WriterReading writer = read_writer(trace, writes, features, verdict.reasons);
  const PathReading path = read_path(writes, features, writer.writer, verdict.reasons);
  const bool one = features.segments < 2 && trace.records.empty();
  Match found = one ? kOneSegment : match(writer, path);
  if (trace.window == Window::OneSided) {
    found.confidence = std::max(0.0, found.confidence - kOneSided);
    verdict.reasons.add(Because::OneSided);
  }
  // Of a part nobody can say that the whole tells nothing.
  if (trace.state == State::Partial && found.pattern == Pattern::Indistinct) found = kNotSeen;

  verdict.pattern = found.pattern;
  verdict.confidence = found.confidence;
  verdict.writer = writer.writer;
  verdict.path = path.path;
  verdict.block = writer.block;
  verdict.mss = writes.full;
  verdict.writes.assign(writes.sizes.begin(), writes.sizes.end());
  if (trace.state == State::Partial) {
    verdict.reasons.add_text(Because::Partial, name(trace.reason));
  }
  const GaitBook& book = policy.gaits != nullptr ? *policy.gaits : *GaitBook::builtin();
  const Traits traits = observe(trace, writes, features);
  name_gait(book, traits, verdict);
  score({.dialogue = trace.dialogue,
         .pattern = verdict.pattern,
         .confidence = verdict.confidence,
         .header_cuts = features.at(Place::HeaderMiddle),
         .contradicted = contradicted_gait(claims, book, traits, features, verdict)},
        policy.weights, verdict, std::make_index_sequence<kSigns.size()>());
  verdict.asks = action_for(verdict, policy);
}

Verdict classify(const Trace& trace, const Policy& policy, const Claims* claims) {
  Scratch scratch;
  Verdict verdict;
  classify(trace, policy, scratch, verdict, claims);
  return verdict;
}

}  // namespace classifier
