#include "milter/filter/breaker.h"

#include <algorithm>
#include <cmath>

namespace filter {

Breaker::Change Breaker::count(bool refused, const config::Breaker& settings,
                               Clock::time_point now) {
  advance(settings, now);
  Slot& slot = slots_[slot_ % kSlots];
  ++slot.messages;
  if (refused) ++slot.refused;
  return review(settings, now);
}

Breaker::Change Breaker::tick(const config::Breaker& settings, Clock::time_point now) {
  advance(settings, now);
  return review(settings, now);
}

Breaker::Shares Breaker::shares(const config::Breaker& settings) const {
  Shares shares;
  for (const Slot& slot : slots_) {
    shares.messages += slot.messages;
    shares.refused += slot.refused;
  }
  if (shares.messages != 0) shares.now = static_cast<double>(shares.refused) / shares.messages;
  if (long_messages_ >= kKnown * settings.min_messages) {
    shares.long_term = long_refused_ / long_messages_;
  }
  return shares;
}

// Empties the slots between the last message and now. If the width has changed (a reload), the
// window begins again; the long-term sums stay.
void Breaker::advance(const config::Breaker& settings, Clock::time_point now) {
  const std::chrono::nanoseconds width = std::chrono::nanoseconds(settings.window) / kSlots;
  const std::int64_t number = now.time_since_epoch() / width;
  if (!started_ || width != width_) {
    for (Slot& slot : slots_) retire(slot);
    started_ = true;
    width_ = width;
    slot_ = number;
    return;
  }
  const std::int64_t steps = std::min<std::int64_t>(number - slot_, kSlots);
  for (std::int64_t i = 1; i <= steps; ++i) retire(slots_[(slot_ + i) % kSlots]);
  if (number <= slot_) return;
  const double days = std::chrono::duration<double>((number - slot_) * width) /
                      std::chrono::duration<double>(kHalfLife);
  const double fade = std::exp2(-days);
  long_messages_ *= fade;
  long_refused_ *= fade;
  slot_ = number;
}

void Breaker::retire(Slot& slot) {
  long_messages_ += slot.messages;
  long_refused_ += slot.refused;
  slot = {};
}

bool Breaker::too_many(const config::Breaker& settings) const {
  const Shares shares = this->shares(settings);
  if (shares.messages < settings.min_messages) return false;
  if (shares.now > settings.max_share) return true;
  if (shares.long_term < 0 || shares.refused < kLeastRefused) return false;
  return shares.now > settings.jump * std::max(shares.long_term, kLeastShare);
}

Breaker::Change Breaker::review(const config::Breaker& settings, Clock::time_point now) {
  if (!settings.enabled) {
    if (state_ == State::Closed) return Change::None;
    enter(State::Closed, now);
    return Change::ClosedAgain;
  }
  switch (state_) {
    case State::Closed:
      if (!too_many(settings)) return Change::None;
      enter(State::Open, now);
      return Change::Tripped;
    case State::Open:
      if (now - since_ < settings.hold) return Change::None;
      enter(too_many(settings) ? State::Open : State::Closed, now);
      return state_ == State::Open ? Change::Prolonged : Change::ClosedAgain;
  }
  return Change::None;
}

void Breaker::enter(State state, Clock::time_point now) {
  state_ = state;
  since_ = now;
}

}  // namespace filter
