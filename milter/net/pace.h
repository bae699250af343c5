// A rate limit for each of many addresses. An address may act `times` times at once, and after that
// at the even rate of `times` in a `period`. So in any period it acts at most twice that often.
//
// Memory is bounded: kMost addresses are kept at a time. When the table is full, new addresses are
// not limited. Otherwise a client could fill the table and so lock other clients out.
//
// Passive: the caller passes the time. Not thread-safe.
#pragma once

#include <chrono>
#include <cstddef>
#include <unordered_map>

#include "milter/net/address.h"

namespace net {

class Pace {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::size_t kMost = 65536;

  // True if `who` exceeds `times` (at least 1) in a `period`. Otherwise the call counts as one more
  // action.
  bool exceeded(const Endpoint& who, unsigned times, Clock::duration period, Clock::time_point now);
  std::size_t size() const { return even_.size(); }

 private:
  // For each address: the time at which its last action would be due at the even rate. That time is
  // at most one period in the future. An entry whose time has passed can be removed.
  std::unordered_map<Endpoint, Clock::time_point> even_;
  Clock::time_point swept_;
};

}  // namespace net
