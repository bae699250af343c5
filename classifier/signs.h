// The signs that a message is unwanted, or that it is wanted. Configuration, score, reasons and
// documents all use this one table. So a new row is at once a setting, a term of the score and a
// reason.
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

// Log-odds that a message with this sign is unwanted, in natural logarithms. A pattern shows which
// program sent a message over which path, not that it is spam. So the defaults are modest, and no
// pattern alone reaches a default threshold.
struct Weights {
  std::array<double, kPatterns> pattern{};  // in the order of Pattern
  double early_talker = 3.0;  // legitimate clients wait for the greeting (RFC 5321, 3.1)
  double early_data = 2.0;
  double split_command = 2.5;  // Emotet sends "HELO x", then CRLF, for every command
  double bare_lf = 1.0;
  double quit_with_dot = -1.0;  // only Postfix and Exim do it
  double template_cuts = 1.0;   // two or more writes ended inside header lines
  double contradiction = 3.0;   // the message claims a program that has another gait
  Weights();
};

// What the signs depend on.
struct Seen {
  const Dialogue& dialogue;
  Pattern pattern = Pattern::Unobserved;
  double confidence = 0;          // confidence of the pattern, 0 to 1
  std::uint32_t header_cuts = 0;  // writes that ended inside a header line
  std::string_view contradicted;  // the gait that the message claims and cannot have; empty: none
};

struct Sign;

// What one sign has added to a score.
struct Term {
  const Sign* sign = nullptr;  // a row of kSigns; never null
  double weight = 0;           // log-odds
  std::string_view about;      // the text for {} in the sign's sentence

  // For example "bot-template", "talked before the greeting", "claims to be exim".
  std::string sentence() const;
};

struct Sign {
  std::string_view key;        // key in [weights]
  std::string_view sentence;   // as a reason; {} stands for `about`
  bool (*holds)(const Seen&);  // null: the sign is the pattern `pattern`
  double Weights::*own;        // its weight; null: the weight of `pattern`
  std::string_view Seen::*about = nullptr;
  Pattern pattern = Pattern::Unobserved;

  // 0: it was not seen. A pattern counts by its confidence; any other sign counts fully.
  double strength(const Seen& seen) const {
    if (holds != nullptr) return holds(seen) ? 1 : 0;
    return seen.pattern == pattern ? seen.confidence : 0;
  }
  // Its weight in `weights`, which may be const or not.
  auto& weight(auto& weights) const {
    return own != nullptr ? weights.*own : weights.pattern[static_cast<std::size_t>(pattern)];
  }
  // The term that it adds; with weight 0 it adds nothing.
  Term term(const Seen& seen, const Weights& weights) const {
    return {this, weight(weights) * strength(seen),
            about != nullptr ? seen.*about : std::string_view()};
  }
};

// One write that ends inside a header line may be the end of a buffer. Two show a template.
inline constexpr std::uint32_t kTemplateCuts = 2;

// All signs except the patterns.
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

// The table: first the patterns in their order, then the other signs.
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
