// Counts of one filter process, from its start; written by libmilter's threads, read by anybody.
#pragma once

#include <atomic>
#include <cstdint>

namespace filter {

struct Counters {
  std::atomic<std::uint64_t> messages{0};  // exempt ones are not among the rest
  std::atomic<std::uint64_t> exempt{0};
  std::atomic<std::uint64_t> unobserved{0};  // without evidence
  std::atomic<std::uint64_t> failed{0};      // evidence was not got, or judging failed
  std::atomic<std::uint64_t> tempfail{0};    // done
  std::atomic<std::uint64_t> quarantine{0};
  std::atomic<std::uint64_t> reject{0};
  std::atomic<std::uint64_t> held_monitor{0};  // asked for, and not done, or a milder one
  std::atomic<std::uint64_t> held_percent{0};
  std::atomic<std::uint64_t> held_breaker{0};
  std::atomic<std::uint64_t> breaker_trips{0};
  std::atomic<std::uint64_t> forged{0};        // headers of our name that were deleted
  std::atomic<std::uint64_t> sealed{0};        // messages with a header that was believed
  std::atomic<std::uint64_t> seal_refused{0};  // of a relay that is believed, and none was good
};

}  // namespace filter
