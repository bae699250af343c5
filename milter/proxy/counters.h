// What the proxy counts; written by its threads, read by anybody.
#pragma once

#include <atomic>
#include <cstdint>

#include "milter/evidence/counters.h"

namespace proxy {

struct Counters {
  std::atomic<std::uint64_t> sessions{0};  // at the moment
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused_full{0};           // max_sessions
  std::atomic<std::uint64_t> refused_address{0};        // max_sessions_per_address
  std::atomic<std::uint64_t> refused_network{0};        // max_sessions_per_network
  std::atomic<std::uint64_t> refused_rate{0};           // max_rate_per_address
  std::atomic<std::uint64_t> introductions_refused{0};  // balancers without a good PROXY header
  std::atomic<std::uint64_t> upstream_failed{0};
  std::atomic<std::uint64_t> unanswered{0};  // sessions closed by answer_timeout
  std::atomic<std::uint64_t> drained{0};   // sessions that were told 421 between two transactions
  std::atomic<std::uint64_t> messages{0};  // traces published
  std::atomic<std::uint64_t> partial{0};
  std::atomic<std::uint64_t> lost{0};  // sessions that could not be followed
  std::atomic<std::uint64_t> accept_errors{0};
  std::atomic<std::uint64_t> ring_full{0};  // events that found capture.ring_bytes full
  // Sessions relayed without an observer (any more), by what there was too little of.
  std::atomic<std::uint64_t> overload_descriptors{0};
  std::atomic<std::uint64_t> overload_time{0};
  std::atomic<std::uint64_t> overload_memory{0};
  evidence::Counters evidence;

  std::uint64_t overload() const {
    return overload_descriptors.load() + overload_time.load() + overload_memory.load();
  }
};

}  // namespace proxy
