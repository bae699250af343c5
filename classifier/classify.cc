// The facade: pattern from both axes, score, verdict. Pure functions; any thread.
//
//     Trace ─► writes ─► features ─┬─► writer ─┬─► pattern ─► score ─► the action it asks for
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

// A message of one segment has no boundary. Neither axis can be read, and that is certain.
constexpr Match kOneSegment{Pattern::Indistinct, 0.98};
constexpr Match kNotSeen{Pattern::Unobserved, 0};

// The doubt of a path's pattern where the writer was not seen. A bot's writer would show through
// any path and would give the message its pattern. In the recordings (tests/data), cut to 68 to 256
// bytes a packet, one message in four on a small or moving path was a bot's.
constexpr double kHiddenWriter = 0.25;
// The doubt where it is assumed that the server accepted the commands, and which extensions it
// announced. The recordings (tests/data) have no more wrong labels without the server's side than
// with it.
constexpr double kOneSided = 0.05;

// Makes it equal to a new one, but keeps its memory.
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

// The talk's name for a writer on a path. The first rule that holds decides; the rules stand in the
// order of Pattern. A bot's writer shows through any path. A path shows through any other writer.
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

// Sets the gait of the verdict.
void name_gait(const GaitBook& book, const Traits& traits, Verdict& verdict) {
  const Guess guess = book.match(traits);
  verdict.gait_class = guess.kind;
  if (const Gait* gait = guess.gait) {
    verdict.gait = gait->name;
    verdict.gait_class = gait->kind;
    // A single end at 2048 may be the first end of 2048 or the second end of 1024. A program with a
    // name always writes its own block.
    const std::uint32_t known = gait->blocks[0];
    const bool only = known != 0 && gait->blocks[1] == 0;
    if (only && verdict.block > known && verdict.block % known == 0) verdict.block = known;
  } else if (verdict.writer == Writer::Blocks && verdict.block % kKilobyte == 0) {
    verdict.reasons.add(Because::Relayed, verdict.block);
  }
}

// Returns the gait that the message claims and cannot have; empty: there is none. A claim counts
// against a message only on good evidence.
std::string_view contradicted_gait(const Claims* claims, const GaitBook& book, const Traits& traits,
                                   const Features& features, const Verdict& verdict) {
  // Both were chosen, not measured: the recordings have no claims of other programs. One or two
  // segments show no more than one boundary, and below a confidence of 0.8 more than one reading in
  // five is wrong. Lower limits make more honest programs contradict themselves. Higher ones let
  // more forged claims pass.
  constexpr std::uint32_t kEnoughSegments = 3;
  constexpr double kSure = 0.8;
  if (claims == nullptr || verdict.confidence < kSure) return {};
  if (features.segments < kEnoughSegments) return {};
  const ClaimTable::Row* claim = ClaimTable::builtin().claimed(*claims);
  if (claim == nullptr || !contradicts(*claim, book, traits)) return {};
  // This word comes from the table, not from the message, because reasons go into log and header.
  return claim->gaits.front();
}

void add_term(const Term& term, Verdict& verdict) {
  if (term.weight == 0) return;
  verdict.score += term.weight;
  verdict.reasons.add_term(term);
}

// The walk through the table is unrolled. A loop costs one call for each sign, and all these calls
// took a tenth of the time in which a short message is judged.
template <std::size_t... kRow>
void score(const Seen& seen, const Weights& weights, Verdict& verdict,
           std::index_sequence<kRow...>) {
  (add_term(kSigns[kRow].term(seen, weights), verdict), ...);
}

}  // namespace

std::string_view name(Action action) {
  return word(kActionNames, action);
}

Action action_for(const Verdict& verdict, const Policy& policy) {
  // A sender is not to blame for evidence that is missing or shows nothing.
  if (verdict.pattern == Pattern::Unobserved || verdict.pattern == Pattern::Indistinct) {
    return Action::None;
  }
  if (verdict.confidence < policy.min_confidence) return Action::None;
  if (verdict.score >= policy.reject) return Action::Reject;
  if (verdict.score >= policy.quarantine) return Action::Quarantine;
  if (verdict.score >= policy.tempfail) return Action::Tempfail;
  return Action::None;
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
  // A part that shows nothing does not mean that the whole message shows nothing.
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
