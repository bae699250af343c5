// What the supervisor counts. Its one thread writes, any process may read.
#pragma once

#include <span>
#include <string_view>

#include "milter/process/metrics.h"

namespace supervisor {

// The counters of one child.
struct ChildCounters {
  process::Count starts{0};
  process::Count serves{0};  // 0 or 1
};

struct Counters {
  process::Count began{0};  // seconds since 1970
  process::Count reloads{0};
  process::Count reloads_refused{0};
};

struct NamedChild {
  std::string_view name;
  const ChildCounters* counters;
};

// `children`: those that this configuration wants.
inline process::Families describe(const Counters& counts, std::span<const NamedChild> children) {
  process::Family serving{"process_serving",
                          "1: the process serves; 0: it does not run or is not ready.",
                          "process",
                          {}};
  process::Family starts{
      "process_starts_total",
      "Starts of the process; above 1 it has died or was killed because it did not answer.",
      "process",
      {}};
  for (const auto& [name, counters] : children) {
    serving.samples.push_back({&counters->serves, name});
    starts.samples.push_back({&counters->starts, name});
  }
  return {
      process::family("start_time_seconds", counts.began,
                      "When the program started, in seconds since 1970; all counters began then."),
      serving,
      starts,
      {"reloads_total",
       "Configurations read again; refused: it has an error, and the old one stays.",
       "result",
       {{&counts.reloads, "done"}, {&counts.reloads_refused, "refused"}}},
  };
}

}  // namespace supervisor
