// What the supervisor counts; written by its one thread, read by anybody.
#pragma once

#include <atomic>
#include <cstdint>

namespace supervisor {

// Of one child.
struct Life {
  std::atomic<std::uint64_t> starts{0};
  std::atomic<bool> serves{false};  // at the moment
};

struct Counters {
  std::atomic<std::int64_t> began{0};  // seconds since 1970
  Life proxy;
  Life wire;
  Life filter;
  Life desk;
  std::atomic<std::uint64_t> reloads{0};
  std::atomic<std::uint64_t> reloads_refused{0};  // the file has an error: the old one stays
};

}  // namespace supervisor
