// The circuit breaker: it suspends rejections and deferrals when their share of the mail jumps.
// Causes can be a network that changes, a new version of a client's mailer, or a wrong weight. If
// many senders are suddenly refused, segmilter's own error is more likely than an attack. Mail that
// was accepted can still be filtered by other programs, but mail that was refused is gone.
//
//               share is above max_share, or above jump × the long-term share
//     Closed ──────────────────────────────────────────────────────────────────► Open
//        ▲                                                                        │ hold is over:
//        └───────────────── the window's share is neither ────────────────────────┤ look again
//                                                                                 └─► Open, one
//                                                                                     more hold
//
// There is no half-open state in which some actions are tried: the breaker knows what would have
// been refused without doing it.
//
// The window is a ring of slots. A slot that leaves the window is added to the long-term sums,
// which halve in a day. So a burst does not raise the share that it is compared with while it
// lasts, and a new level counts as ordinary after some hours. A share of few messages means
// nothing: with fewer than min_messages in the window nothing trips, and the long-term share is
// used once it rests on ten times as many.
//
// Passive: time comes in as an argument. It has no lock; its owner locks it (service.h). It is kept
// in memory only: after a restart it begins closed, and learns the long-term share again.
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
    Closed,  // actions are carried out
    Open,    // rejections and deferrals are not carried out
  };
  enum class Change : std::uint8_t { None, Tripped, Prolonged, ClosedAgain };
  // The window's share, and the share that it was compared with.
  struct Shares {
    unsigned messages = 0;
    unsigned refused = 0;
    double now = 0;
    double long_term = -1;  // below 0: not known yet
  };

  // Counts one judged message. `refused`: it is rejected or deferred, or would be if the breaker
  // were closed. Ask open() afterwards: the message that trips the breaker is already suspended.
  Change count(bool refused, const config::Breaker& settings, Clock::time_point now);
  // Time passes without mail.
  Change tick(const config::Breaker& settings, Clock::time_point now);

  bool open() const { return state_ == State::Open; }
  Shares shares(const config::Breaker& settings) const;

 private:
  // Chosen, not measured: finer slots make the end of the window smoother, and cost a sum over them
  // for each message.
  static constexpr int kSlots = 30;
  // Chosen, not measured: with a shorter half-life a long attack soon counts as ordinary, with a
  // longer one a real change keeps tripping.
  static constexpr auto kHalfLife = std::chrono::hours(24);
  static constexpr double kKnown = 10;  // the long-term share needs this many times min_messages
  // Five times a share of nearly nothing is still nearly nothing. So the jump is measured from 1 %
  // at least, and from 10 refusals in the window. Chosen, not measured: smaller values would let
  // the breaker trip by chance on small sites.
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
  Clock::time_point since_{};  // when the state was entered or last reviewed
  std::array<Slot, kSlots> slots_{};
  std::int64_t slot_ = 0;  // number of the current slot since the clock's epoch
  std::chrono::nanoseconds width_{0};
  double long_messages_ = 0;
  double long_refused_ = 0;
  bool started_ = false;
};

}  // namespace filter
