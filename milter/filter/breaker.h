// The circuit breaker: rejects and deferrals are suspended when their share of the mail jumps. A
// network that changes, a new version of a client's mailer, a mistake in a weight: what suddenly
// hits many is more often our error than their attack, and mail that was let in can still be
// filtered behind us, but mail that was refused is gone.
//
//               share is above max_share, or above jump × the long-term share
//     Closed ──────────────────────────────────────────────────────────────────► Open
//        ▲                                                                        │ hold is over:
//        └───────────────── the window's share is neither ────────────────────────┤ look again
//                                                                                 └─► Open, one
//                                                                                     more hold
//
// There is no half-open state that lets some through to see how it goes: what would have been
// refused is known without doing it.
//
// The window is a ring of slots. A slot that leaves it goes into the long-term sums, which halve in
// a day: a burst does not raise what it is measured against while it lasts, and a new level is the
// ordinary one after some hours. With few messages there is no share: below min_messages in the
// window nothing trips, and the long-term share counts once it rests on ten times as many.
//
// Passive: time comes in. Not locked; its owner is (service.h). In memory only: after a restart it
// begins closed, and learns the long-term share anew.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include "milter/config/config.h"

namespace filter {

class Breaker {
 public:
  using Clock = std::chrono::steady_clock;
  enum class State : std::uint8_t {
    Closed,  // actions are done
    Open,    // rejects and deferrals are not
  };
  enum class Change : std::uint8_t { None, Tripped, Prolonged, ClosedAgain };
  // Of the window, and what it was held against.
  struct Shares {
    unsigned messages = 0;
    unsigned refused = 0;
    double now = 0;
    double long_term = -1;  // below 0: not known yet
  };

  // One judged message; `refused`: it is one that is rejected or deferred, or would be but for the
  // open breaker. Ask open() afterwards: the message that trips it is suspended already.
  Change count(bool refused, const config::Breaker& settings, Clock::time_point now);
  // Time passes without mail.
  Change tick(const config::Breaker& settings, Clock::time_point now);

  bool open() const { return state_ == State::Open; }
  Shares shares(const config::Breaker& settings) const;

 private:
  static constexpr int kSlots = 30;
  static constexpr auto kHalfLife = std::chrono::hours(24);
  static constexpr double kKnown = 10;  // times min_messages
  // Of a share that is nearly nothing, five times is nearly nothing too.
  static constexpr double kLeastShare = 0.01;
  static constexpr unsigned kLeastRefused = 10;

  struct Slot {
    unsigned messages = 0;
    unsigned refused = 0;
  };

  void advance(const config::Breaker& settings, Clock::time_point now);
  void retire(Slot& slot);
  bool too_many(const config::Breaker& settings) const;
  Change review(const config::Breaker& settings, Clock::time_point now);
  void enter(State state, Clock::time_point now);

  State state_ = State::Closed;
  Clock::time_point since_{};  // of the state, or of its last review
  std::array<Slot, kSlots> slots_{};
  std::int64_t slot_ = 0;  // number of the current one since the clock's epoch
  std::chrono::nanoseconds width_{0};
  double long_messages_ = 0;
  double long_refused_ = 0;
  bool started_ = false;
};

}  // namespace filter
