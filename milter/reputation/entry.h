// One entry of the table: what was learnt of one key, and how it fades. An entry takes 40 bytes in
// shared memory and in the state file, as five words; what is read from there is not trusted.
// Pure; safe from any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>

#include "milter/reputation/key.h"
#include "milter/reputation/standing.h"

namespace reputation {

struct Entry {
  Key key;
  Time first;  // when the key was seen first
  Time last;   // to which the sums are decayed
  float spam = 0;
  float total = 0;
  float bad = 0;
  float seen = 0;
  // How much this entry has taught the level above it on the day of `day` (learner.h), in
  // hundredths.
  std::uint16_t day = 0;  // since 1970, UTC
  std::uint16_t given = 0;
  bool operator==(const Entry&) const = default;

  // The sums as they are at `now`. A clock that was set back changes nothing.
  Sums sums(Time now) const;
  // Decays to `now`, and adds a message of that `time`, which has faded since then.
  void add(const Sums& message, Time time, Time now);
  // The table removes the entry with the least worth. What was learnt counts, and a little also how
  // long the key has been known.
  double worth(Time now) const;
  // The last message was so long ago that nothing of the entry is kept.
  bool is_over(Time now) const { return now - last > 5 * half_life(key.kind); }
};

using Words = std::array<std::uint64_t, 5>;
Words to_words(const Entry& entry);
// Nothing: no entry, or one that to_words() does not make: a kind that does not exist, numbers that
// are not finite, negative, or larger than the sums they are a part of.
std::optional<Entry> from_words(const Words& words);

}  // namespace reputation
