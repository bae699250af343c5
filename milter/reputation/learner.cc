#include "milter/reputation/learner.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

namespace reputation {
namespace {

constexpr double kBadScore = 6;
constexpr double kBadTrust = 0.25;
constexpr double kGoodScore = -1;
constexpr double kGoodTrust = 0.1;
constexpr double kHundredths = 100;
constexpr double kNoLimit = std::numeric_limits<std::uint16_t>::max() / kHundredths;

std::uint16_t day_of(Time time) {
  const auto days = std::chrono::floor<std::chrono::days>(time).time_since_epoch().count();
  return static_cast<std::uint16_t>(std::clamp<std::int64_t>(days, 0, UINT16_MAX));
}

// How much of `trust` the entry may pass on. On a new day it begins anew; a clock that was set back
// brings no new day.
double allowance(Entry& entry, double trust, double most, Time time) {
  if (const auto day = day_of(time); day > entry.day) {
    entry.day = day;
    entry.given = 0;
  }
  const double left = std::max(0.0, most - entry.given / kHundredths);
  const double passed = std::min(trust, left);
  const double given = entry.given + std::ceil(passed * kHundredths);
  entry.given = static_cast<std::uint16_t>(std::min<double>(given, UINT16_MAX));
  return passed;
}

}  // namespace

Lesson own_lesson(double score, bool vouched) {
  if (score >= kBadScore) return {.label = 1, .trust = kBadTrust};
  if (score <= kGoodScore && vouched) return {.label = 0, .trust = kGoodTrust};
  return {};
}

// How much of `trust` a message without its address may teach its network. On a day whose messages
// have lost their addresses, what the network has given is what it was taught.
double Learner::left_for_lost(const Key& network, double trust, Time time) const {
  const auto entry = table_.find(network);
  if (!entry || entry->day < day_of(time)) return std::min(trust, kMostOfAddress);
  return std::min(trust, std::max(0.0, kMostOfAddress - entry->given / kHundredths));
}

// Returns the trust with which the level above is taught.
double Learner::teach(const Key& key, const Lesson& lesson, double trust, double most,
                      const When& when) {
  auto entry = table_.find(key).value_or(Entry{.key = key, .first = when.time, .last = when.now});
  const double passed = allowance(entry, trust, most, when.time);
  const bool is_bad = trust > 0 && lesson.label > 0.5;
  const double messages = lesson.messages;
  entry.add({.spam = trust * lesson.label,
             .total = trust,
             .bad = is_bad ? messages : 0,
             .seen = messages},
            when.time, when.now);
  (void)table_.put(entry, when.now);
  return passed;
}

void Learner::learn(const Origin& origin, const Lesson& lesson, Time time, Time now) {
  const When when{time, now};
  double trust = std::min(1.0, lesson.trust * lesson.messages);
  if (origin.lost_address) trust = left_for_lost(origin.network, trust, time);
  // With memory.addresses = "truncated" the network is the lowest level.
  if (origin.address) trust = teach(*origin.address, lesson, trust, kMostOfAddress, when);
  if (origin.gait) (void)teach(*origin.gait, lesson, trust, kNoLimit, when);
  trust = teach(origin.network, lesson, trust, kMostOfNetwork, when);
  if (origin.asn) (void)teach(*origin.asn, lesson, trust, kNoLimit, when);
  (void)teach(kSite, lesson, trust, kNoLimit, when);
  (lesson.trust == 0    ? counters_.learnt_nothing
   : lesson.label > 0.5 ? counters_.learnt_bad
                        : counters_.learnt_good) += lesson.messages;
}

}  // namespace reputation
