// The counts of all processes, in memory that they share: made by the supervisor before it forks,
// so that they go on when a child is started again. An upgrade begins them anew; what still drains
// of the program before counts for itself.
#pragma once

#include <memory>

#include "milter/config/config.h"
#include "milter/filter/counters.h"
#include "milter/proxy/counters.h"
#include "milter/supervisor/counters.h"
#include "milter/wire/counters.h"

namespace supervisor {

struct Counts {
  Counters supervisor;
  Life proxy_life;
  Life wire_life;
  Life filter_life;
  Life desk_life;
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

// All counters of the processes that `config` has. `counts` outlives the result.
process::Families describe(const Counts& counts, const config::Config& config);

}  // namespace supervisor
