// The facade: most callers need only this header. It turns evidence into a verdict. It uses no
// clock, no file and no log. Safe from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "classifier/claims.h"
#include "classifier/features.h"
#include "classifier/gait.h"
#include "classifier/pattern.h"
#include "classifier/reasons.h"
#include "classifier/signs.h"
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

// The actions for which a score can ask, from the mildest to the most severe.
enum class Action : std::uint8_t { None, Tempfail, Quarantine, Reject };
std::string_view name(Action action);

struct Policy {
  // A score at or above a threshold asks for that action. A threshold of infinity is never reached.
  double tempfail = 6.0;
  double quarantine = 8.0;
  double reject = 10.0;
  double min_confidence = 0.5;  // below: no action is asked for, whatever the score is
  Weights weights;
  std::shared_ptr<const GaitBook> gaits;  // null: the compiled-in book
};

struct Verdict {
  Pattern pattern = Pattern::Unobserved;
  Writer writer = Writer::Unknown;
  PathShape path = PathShape::Unknown;
  double confidence = 0;  // 0..1: of the labels with 0.9, one in ten is wrong; with `indistinct`,
                          // how certain it is that the evidence shows nothing more
  double score = 0;
  Action asks = Action::None;    // what the score asks for; the filter decides what is done
  std::uint32_t block = 0;       // write size of a program that writes blocks; 0: none
  std::uint32_t mss = 0;         // payload of a full segment; 0: unknown
  std::string gait = "unknown";  // a name of the book
  // The class of that gait. Without a name: the class that all fitting entries have in common.
  std::optional<GaitClass> gait_class;
  std::vector<std::uint32_t> writes;
  Reasons reasons;  // of both axes, the pattern and each term of the score; no personal data

  bool named() const { return gait != "unknown"; }
  // The class that is shown in the place of a name.
  std::optional<GaitClass> unnamed_class() const { return named() ? std::nullopt : gait_class; }
};

// `claims`: what the message says of its sender; null: not known.
Verdict classify(const Trace& trace, const Policy& policy, const Claims* claims = nullptr);

// The action for which the score of `verdict` asks. A caller that has added a term to the score
// asks again.
Action action_for(const Verdict& verdict, const Policy& policy);

// The memory in which a classification works. A caller that judges many messages keeps one Scratch
// and one Verdict for each thread. Once both have grown to the largest message, judging allocates
// nothing.
struct Scratch {
  Writes writes;
  Features features;
};
// Writes the same verdict into `verdict`, whatever it held before.
void classify(const Trace& trace, const Policy& policy, Scratch& scratch, Verdict& verdict,
              const Claims* claims = nullptr);

}  // namespace classifier
