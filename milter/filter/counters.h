// What the filter counts; written by libmilter's threads, read by anybody.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "classifier/pattern.h"

namespace filter {

struct Counters {
  std::atomic<std::uint64_t> messages{0};  // exempt ones are not among the rest
  std::atomic<std::uint64_t> exempt{0};
  std::atomic<std::uint64_t> unobserved{0};  // without evidence
  std::atomic<std::uint64_t> failed{0};      // evidence was not got, or judging failed
  std::array<std::atomic<std::uint64_t>, classifier::kPatterns> pattern{};
  std::atomic<std::uint64_t> tempfail{0};  // done
  std::atomic<std::uint64_t> quarantine{0};
  std::atomic<std::uint64_t> reject{0};
  std::atomic<std::uint64_t> held_monitor{0};  // asked for, and not done, or a milder one
  std::atomic<std::uint64_t> held_percent{0};
  std::atomic<std::uint64_t> held_breaker{0};
  std::atomic<std::uint64_t> breaker_trips{0};
  std::atomic<bool> breaker_open{false};  // at the moment
  std::atomic<std::uint64_t> forged{0};   // headers of our name that were deleted
  std::atomic<std::uint64_t> flooded{0};  // messages refused, because they had too many to delete
  std::atomic<std::uint64_t> sealed{0};   // messages with a header that was believed
  std::atomic<std::uint64_t> seal_refused{0};  // of a relay that is believed, and none was good
  std::atomic<std::uint64_t> callback_failures{0};  // exceptions at the C boundary
};

}  // namespace filter
