// What an observing process keeps; written by its main thread, read by anybody.
#pragma once

#include <atomic>
#include <cstdint>

namespace evidence {

struct Counters {
  std::atomic<std::uint64_t> sessions{0};  // with evidence at the moment, open and lingering
  std::atomic<std::uint64_t> bytes{0};     // that it takes at the moment, of evidence.max_bytes
  std::atomic<std::uint64_t> refused{0};   // traces for which there was no room: max_sessions
};

}  // namespace evidence
