// The counters of all processes, in shared memory. The supervisor makes this memory before it
// forks, so that the counters go on when a child is started again. After an upgrade they start at
// zero; children of the previous program that still drain count in their own memory.
#pragma once

#include <array>
#include <memory>

#include "milter/filter/counters.h"
#include "milter/memory/counters.h"
#include "milter/proxy/counters.h"
#include "milter/reputation/counters.h"
#include "milter/supervisor/counters.h"
#include "milter/wire/counters.h"

namespace supervisor {

// Room for the rows of child_kinds(); children.cc checks that they fit.
inline constexpr std::size_t kMostChildren = 8;

struct Counts {
  Counters supervisor;
  std::array<ChildCounters, kMostChildren> children;  // index: row of child_kinds() (children.h)
  proxy::Counters proxy;
  wire::Counters wire;
  filter::Counters filter;
  memory::Counters memory;
  reputation::Counters reputation;
};

struct Unmap {
  void operator()(Counts* counts) const;
};
using SharedCounts = std::unique_ptr<Counts, Unmap>;

// All zero. Throws std::system_error.
SharedCounts share_counts();

}  // namespace supervisor
