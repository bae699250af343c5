// The facade: most callers need only this header. Evidence in, verdict out; no clock, no file, no
// log. Safe from any thread.
#pragma once

#include <array>
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
#include "classifier/trace.h"
#include "classifier/writes.h"

namespace classifier {

// What a score leads to, in the order of severity.
enum class Action : std::uint8_t { None, Tempfail, Quarantine, Reject };
std::string_view name(Action action);

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

struct Policy {
  enum class Mode : std::uint8_t { Monitor, Enforce };
  Mode mode = Mode::Monitor;
  // A score at or above a threshold leads to its action; an unset one (infinity) never does.
  double tempfail = 6.0;
  double quarantine = 8.0;
  double reject = 10.0;
  double min_confidence = 0.5;  // below: no action whatever the score
  Weights weights;
  std::shared_ptr<const GaitBook> gaits;  // null: the book that is compiled in
};

struct Verdict {
  Pattern pattern = Pattern::Unobserved;
  Writer writer = Writer::Unknown;
  PathShape path = PathShape::Unknown;
  double confidence = 0;  // 0..1: of the labels given at 0.9, one in ten is wrong; for
                          // `indistinct`: that the evidence holds no more
  double score = 0;
  Action action = Action::None;         // what is to be done
  Action would = Action::None;          // what Mode::Enforce would have done
  std::uint32_t block = 0;              // the program's write size where it writes blocks; 0: none
  std::uint32_t mss = 0;                // payload of a full segment; 0: unknown
  std::string gait = "unknown";         // a name of the book
  std::optional<GaitClass> gait_class;  // where no name holds: the class of all entries that fit
  std::vector<std::uint32_t> writes;
  Reasons reasons;  // of both axes, the pattern and each term of the score; no personal data
};

// `claims`: what the message says of its sender; null: not known.
Verdict classify(const Trace& trace, const Policy& policy, const Claims* claims = nullptr);

// What a classification works with. Whoever judges many messages keeps one, and a Verdict, for each
// thread: once both have grown to the largest message, judging allocates nothing.
struct Scratch {
  Writes writes;
  Features features;
};
// The same verdict as above, into `verdict`, whatever that held.
void classify(const Trace& trace, const Policy& policy, Scratch& scratch, Verdict& verdict,
              const Claims* claims = nullptr);

}  // namespace classifier
