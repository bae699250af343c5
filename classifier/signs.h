// The signs that a message is unwanted, or is not: one table that the configuration, the score, the
// reasons and the documents walk. A row that is added is a setting, a term of the score and a
// reason at once.
//
//     what was seen ─► Sign ─► strength ─┐
//     [weights] ─────► Weights ──────────┴─► Term ─► score, reasons
//
// Pure; any thread.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include "classifier/pattern.h"
#include "classifier/trace.h"

namespace classifier {

// Log-odds that a message with this sign is unwanted, in natural logarithms. A pattern says which
// program on which path, not that it is spam: the defaults are modest, and no pattern alone reaches
// a default threshold.
struct Weights {
  std::array<double, kPatterns> pattern{};  // by Pattern
  double early_talker = 3.0;  // legitimate clients wait for the greeting (RFC 5321, 3.1)
  double early_data = 2.0;
  double split_command = 2.5;  // Emotet: "HELO x", then CRLF, for every command
  double bare_lf = 1.0;
  double quit_with_dot = -1.0;  // seen in Postfix and Exim only
  double template_cuts = 1.0;   // two or more writes ended inside header lines
  double contradiction = 3.0;   // the message claims a program that does not walk so
  Weights();
};

// What signs look at.
struct Seen {
  const Dialogue& dialogue;
  Pattern pattern = Pattern::Unobserved;
  double confidence = 0;          // of the pattern, 0 to 1
  std::uint32_t header_cuts = 0;  // writes that ended inside a header line
  std::string_view contradicted;  // a gait that the message claims and cannot have; empty: none
};

struct Sign;

// What a sign has added to a score.
struct Term {
  const Sign* sign = nullptr;  // a row of kSigns; never null
  double weight = 0;           // log-odds
  std::string_view about;      // what stands for {} in the sign's sentence

  // "bot-template", "talked before the greeting", "claims to be exim"
  std::string sentence() const;
};

struct Sign {
  std::string_view key;        // in [weights]
  std::string_view sentence;   // as a reason; {} stands for `about`
  bool (*holds)(const Seen&);  // null: the sign is `pattern`
  double Weights::*own;        // its weight; null: that of `pattern`
  std::string_view Seen::*about = nullptr;
  Pattern pattern = Pattern::Unobserved;

  // 0: it was not seen; a pattern counts by its confidence, all others are there or not.
  double strength(const Seen& seen) const {
    if (holds != nullptr) return holds(seen) ? 1 : 0;
    return seen.pattern == pattern ? seen.confidence : 0;
  }
  // Its weight among all others, const or not.
  auto& weight(auto& weights) const {
    return own != nullptr ? weights.*own : weights.pattern[static_cast<std::size_t>(pattern)];
  }
  // What it adds; a weight of 0: nothing.
  Term term(const Seen& seen, const Weights& weights) const {
    return {this, weight(weights) * strength(seen),
            about != nullptr ? seen.*about : std::string_view()};
  }
};

// One write that ends inside a header line may be a buffer's; two are a template's.
inline constexpr std::uint32_t kTemplateCuts = 2;

// All signs but the patterns.
inline constexpr Sign kOtherSigns[] = {
    {"early-talker", "talked before the greeting",
     [](const Seen& seen) { return seen.dialogue.early_talker; }, &Weights::early_talker},
    {"early-data", "data before 354", [](const Seen& seen) { return seen.dialogue.early_data; },
     &Weights::early_data},
    {"split-command", "command in two segments",
     [](const Seen& seen) { return seen.dialogue.split_command; }, &Weights::split_command},
    {"bare-lf", "command ended by bare LF", [](const Seen& seen) { return seen.dialogue.bare_lf; },
     &Weights::bare_lf},
    {"quit-with-dot", "QUIT sent with the dot",
     [](const Seen& seen) { return seen.dialogue.quit_with_dot; }, &Weights::quit_with_dot},
    {"template-cuts", "writes end inside several header lines",
     [](const Seen& seen) {
       return seen.pattern == Pattern::BotTemplate && seen.header_cuts >= kTemplateCuts;
     },
     &Weights::template_cuts},
    {"contradiction", "claims to be {}",
     [](const Seen& seen) { return !seen.contradicted.empty(); }, &Weights::contradiction,
     &Seen::contradicted},
};

// The table: the patterns, in their order, then all others.
inline constexpr auto kSigns = [] {
  std::array<Sign, kPatterns + std::size(kOtherSigns)> all{};
  for (std::size_t i = 0; i < kPatterns; ++i) {
    all[i].key = all[i].sentence = kPatternNames[i];
    all[i].pattern = static_cast<Pattern>(i);
  }
  std::copy(std::begin(kOtherSigns), std::end(kOtherSigns), all.begin() + kPatterns);
  return all;
}();
static_assert(sizeof(Weights) == kSigns.size() * sizeof(double), "each weight is a sign's");

}  // namespace classifier
