// Counters, and the names under which people read them.
//
// The processes count in memory that all of them share (supervisor/counts.h): one process writes a
// counter, any process reads it. That memory holds numbers and nothing else, so that a process
// that went astray cannot mislead the others. What the numbers mean is told by a function
// `describe` beside the struct that has them; the page of metrics and the filter's log line walk
// those descriptions. Names and labels are an outside face: dashboards and alerts rely on them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace process {

using Count = std::atomic<std::uint64_t>;

// One counter. The texts of a description are literals.
struct Sample {
  const Count* count;           // outlives the description
  std::string_view value = {};  // of the family's label
  std::string_view log = {};    // key in the log line of the process; empty: it is not in that line
};

// Counters that have a name in common. A name that ends in "_total" belongs to a number that only
// grows; any other is a gauge, which says what there is at the moment.
struct Family {
  std::string_view name;   // printed with "segmilter_" in front
  std::string_view help;   // one sentence
  std::string_view label;  // tells the samples apart; empty: there is one sample
  std::vector<Sample> samples;
};

using Families = std::vector<Family>;

inline Family family(std::string_view name, const Count& count, std::string_view help,
                     std::string_view log = {}) {
  return {name, help, {}, {{&count, {}, log}}};
}

inline void append(Families& families, Families more) {
  families.insert(families.end(), more.begin(), more.end());
}

}  // namespace process
