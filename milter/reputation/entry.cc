#include "milter/reputation/entry.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace reputation {
namespace {

// A message that was only seen counts this much of one that was learnt, in worth().
constexpr double kSeenWorth = 1.0 / 64;
// More messages than a host receives in a year: such a number is damaged.
constexpr float kMostMessages = 1e10F;
constexpr std::uint64_t kV4 = 0x80;
constexpr std::uint64_t kUsed = 0x40;

double fade(Kind kind, std::chrono::seconds age) {
  if (age.count() <= 0) return 1;
  const std::chrono::seconds half = half_life(kind);
  return std::exp2(-static_cast<double>(age.count()) / static_cast<double>(half.count()));
}

std::uint64_t pair(float low, float high) {
  return std::bit_cast<std::uint32_t>(low) | std::uint64_t{std::bit_cast<std::uint32_t>(high)}
                                                 << 32;
}
float low(std::uint64_t word) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(word));
}
float high(std::uint64_t word) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(word >> 32));
}

// Sums are added in the same order, so a part can exceed its whole by rounding only.
bool is_part(float part, float whole) {
  return std::isfinite(whole) && whole >= 0 && whole <= kMostMessages && part >= 0 &&
         part <= whole * 1.001F + 0.001F;
}

std::uint32_t seconds_of(Time time) {
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(time.time_since_epoch().count(), 0, UINT32_MAX));
}

}  // namespace

Sums Entry::sums(Time now) const {
  const double left = fade(key.kind, now - last);
  return {spam * left, total * left, bad * left, seen * left};
}

void Entry::add(const Sums& message, Time time, Time now) {
  const Sums old = sums(now);
  const double left = fade(key.kind, now - time);
  spam = static_cast<float>(old.spam + left * message.spam);
  total = static_cast<float>(old.total + left * message.total);
  bad = static_cast<float>(old.bad + left * message.bad);
  seen = static_cast<float>(old.seen + left * message.seen);
  last = std::max(last, now);
}

double Entry::worth(Time now) const {
  return fade(key.kind, now - last) * (total + kSeenWorth * seen);
}

Words to_words(const Entry& entry) {
  return {
      entry.key.value,
      kUsed | static_cast<std::uint64_t>(entry.key.kind) | (entry.key.v4 ? kV4 : 0) |
          std::uint64_t{seconds_of(entry.first)} << 32,
      pair(entry.spam, entry.total), pair(entry.bad, entry.seen),
      std::uint64_t{seconds_of(entry.last)} << 32 | std::uint64_t{entry.day} << 16 | entry.given};
}

std::optional<Entry> from_words(const Words& words) {
  const auto kind = words[1] & 0x3f;
  if ((words[1] & kUsed) == 0 || kind >= kKinds || (words[1] & 0xffff'ff00U) != 0) return {};
  Entry entry;
  entry.key = {static_cast<Kind>(kind), (words[1] & kV4) != 0, words[0]};
  entry.first = Time(std::chrono::seconds(words[1] >> 32));
  entry.last = Time(std::chrono::seconds(words[4] >> 32));
  entry.day = static_cast<std::uint16_t>(words[4] >> 16);
  entry.given = static_cast<std::uint16_t>(words[4]);
  entry.spam = low(words[2]);
  entry.total = high(words[2]);
  entry.bad = low(words[3]);
  entry.seen = high(words[3]);
  if (!is_part(entry.spam, entry.total) || !is_part(entry.bad, entry.seen)) return {};
  return entry;
}

}  // namespace reputation
