// The facade: most callers need only this header. Evidence in, verdict out; no clock, no file, no
// log. Safe from any thread.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "classifier/pattern.h"
#include "classifier/trace.h"

namespace classifier {

// What a score leads to, in the order of severity.
enum class Action : std::uint8_t { None, Tempfail, Quarantine, Reject };
std::string_view name(Action action);

// Log-odds that a message with this sign is unwanted, in natural logarithms. A pattern says which
// program on which path, not that it is spam: the defaults are modest, and no pattern alone reaches
// a default threshold.
struct Weights {
  std::array<double, kPatterns> pattern{};  // by Pattern
  double early_talker = 3.0;     // legitimate clients wait for the greeting (RFC 5321, 3.1)
  double early_data = 2.0;
  double split_command = 2.5;    // Emotet: "HELO x", then CRLF, for every command
  double bare_lf = 1.0;
  double quit_with_dot = -1.0;   // seen in Postfix and Exim only
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
};

struct AxisReading {
  double strength = 0;              // 0..1
  std::vector<std::string> reasons; // short, lower case, no personal data: "3 of 4 blocks of 4096"
};

struct Verdict {
  Pattern pattern = Pattern::Unobserved;
  Writer writer = Writer::Unknown;
  PathShape path = PathShape::Unknown;
  double confidence = 0;      // 0..1
  double score = 0;
  Action action = Action::None;  // what is to be done
  Action would = Action::None;   // what Mode::Enforce would have done
  std::uint32_t block = 0;    // the program's write size where it writes blocks; 0: none
  std::uint32_t mss = 0;      // payload of a full segment; 0: unknown
  std::string gait = "unknown";
  std::vector<std::uint32_t> writes;
  std::vector<std::string> reasons;  // of both axes, the pattern and each term of the score
};

Verdict classify(const Trace& trace, const Policy& policy);

}  // namespace classifier
