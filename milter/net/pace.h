// How often each of many addresses may do something: so many times at once, and then one each time
// that the even rate allows it. Over any period that is at most twice the number. Bounded: of
// kMost addresses at a time; with more of them, those that are new are not limited, because a full
// table is not to be a way to lock others out.
//
// Passive: time comes in. Not locked.
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

  // Whether `who` is too fast for `times` (at least 1) a `period`; if not, it has done it once
  // more.
  bool exceeded(const Endpoint& who, unsigned times, Clock::duration period, Clock::time_point now);
  std::size_t size() const { return even_.size(); }

 private:
  // When what an address has done so far would have been done at the even rate. It may be a period
  // ahead; one that is behind may be forgotten.
  std::unordered_map<Endpoint, Clock::time_point> even_;
  Clock::time_point swept_;
};

}  // namespace net
