#include "milter/history/counts.h"

#include <algorithm>
#include <map>

#include "classifier/classify.h"
#include "milter/history/words.h"
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
  const auto known = named<classifier::Action>(action);
  return known && policy::is_refusal(*known);
}

}  // namespace history
