#include "milter/net/pace.h"

#include <algorithm>

namespace net {

bool Pace::exceeded(const Endpoint& who, unsigned times, Clock::duration period,
                    Clock::time_point now) {
  if (even_.size() >= kMost && now - swept_ >= std::chrono::seconds(1)) {
    swept_ = now;
    std::erase_if(even_, [now](const auto& item) { return item.second <= now; });
  }
  auto found = even_.find(who);
  if (found == even_.end()) {
    if (even_.size() >= kMost) return false;
    found = even_.emplace(who, now).first;
  }
  // After a reload the period may be shorter. The new period applies at once.
  found->second = std::clamp(found->second, now, now + period);
  const auto even = found->second + period / times;
  if (even > now + period) return true;
  found->second = even;
  return false;
}

}  // namespace net
