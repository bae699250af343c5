// Why a remembered message has its label: the verdict and the decision as they were, put together
// from the row, and the reasons in words with their parts of the score. Pure; safe from any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/history/row.h"
#include "milter/policy/decision.h"

namespace history {

struct Reason {
  std::string sentence;
  std::optional<double> part;  // of the score; nothing: it explains a label and adds nothing
};

struct Explanation {
  // Nothing: the row has no trace, or one that this program cannot read. Then the verdict has no
  // writes, and its only reasons are the terms of the score.
  std::optional<classifier::Trace> trace;
  classifier::Verdict verdict;  // labels, score and terms are those of the row
  policy::Decision decision;
  std::vector<Reason> reasons;
  double rest = 0;  // the score less all parts: rounding, and terms that the row does not have
  // True: this program would give the trace another pattern, writer or path. The reasons that add
  // nothing to the score are those of this program.
  bool is_judged_otherwise = false;
};

// Of `policy`, only the book of gaits is used.
Explanation explain(const Row& row, const classifier::Policy& policy);

// What was done, as a sentence: "nothing was done: the score asked for reject, and mode monitor …".
std::string outcome(const policy::Decision& decision, policy::Basis basis);

// The basis of a row; Evidence for a word that is not known.
policy::Basis basis_of(const Row& row);

}  // namespace history
