// Counters, and the names under which they are published.
//
// The processes count in shared memory (supervisor/counts.h): one process writes a counter, any
// process reads it. That memory contains only numbers, so a faulty process cannot harm the others
// through it. The meaning of the numbers is given by a function `describe` next to the struct that
// contains them. The metrics page and the filter's log line use these descriptions. Names and
// labels are public: dashboards and alerts depend on them.
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

namespace process {

using Count = std::atomic<std::uint64_t>;

// One counter. All texts of a description are string literals.
struct Sample {
  const Count* count;           // must outlive the description
  std::string_view value = {};  // value of the family's label
  std::string_view log = {};    // key in the log line of the process; empty: not in that line
};

// Counters with a common name. A name that ends in "_total" belongs to a number that only grows.
// Any other name is a gauge: the number of things at this moment.
struct Family {
  std::string_view name;   // published with the prefix "segmilter_"
  std::string_view help;   // one sentence
  std::string_view label;  // the label that distinguishes the samples; empty: there is one sample
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
