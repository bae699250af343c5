// The counts of all processes, in memory that they share: made by the supervisor before it forks,
// so that they go on when a child is started again. An upgrade begins them anew; what still drains
// of the program before counts for itself.
#pragma once

#include <array>
#include <memory>

#include "milter/filter/counters.h"
#include "milter/proxy/counters.h"
#include "milter/supervisor/counters.h"
#include "milter/wire/counters.h"

namespace supervisor {

inline constexpr std::size_t kMostChildren = 8;

struct Counts {
  Counters supervisor;
  std::array<ChildCounters, kMostChildren> children;  // by row of child_kinds() (children.h)
  proxy::Counters proxy;
  wire::Counters wire;
  filter::Counters filter;
};

struct Unmap {
  void operator()(Counts* counts) const;
};
using SharedCounts = std::unique_ptr<Counts, Unmap>;

// All zero. Throws std::system_error.
SharedCounts share_counts();

}  // namespace supervisor
