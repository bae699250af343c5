#include "milter/history/counts.h"

#include <algorithm>
#include <map>

#include "classifier/classify.h"
#include "milter/policy/decision.h"

namespace history {

Count Counts::all() const {
  Count sum;
  for (const Cell& cell : cells) sum += cell.count;
  return sum;
}

std::vector<std::pair<std::string, Count>> Counts::by(std::string Labels::*member) const {
  std::map<std::string_view, Count> sums;
  for (const Cell& cell : cells) sums[cell.labels.*member] += cell.count;
  std::vector<std::pair<std::string, Count>> list(sums.begin(), sums.end());
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.second.messages > b.second.messages;
  });
  return list;
}

bool is_refusal(std::string_view action) {
  using classifier::Action;
  for (const auto one : {Action::None, Action::Tempfail, Action::Quarantine, Action::Reject}) {
    if (name(one) == action) return policy::is_refusal(one);
  }
  return false;
}

}  // namespace history
