// Writes what is learnt of messages into the table.
//
// A message teaches its address, its network, its gait there, its autonomous system and the site.
// So that nobody can spoil the neighbours' reputation, an address teaches its network at most
// kMostOfAddress a day, and a network teaches what is above it at most kMostOfNetwork. Further
// messages teach the lower levels only. One thread.
#pragma once

#include <vector>

#include "milter/reputation/counters.h"
#include "milter/reputation/table.h"

namespace reputation {

inline constexpr double kMostOfAddress = 5;
inline constexpr double kMostOfNetwork = 20;

// What one message teaches. With trust 0 it is only counted as seen.
struct Lesson {
  double label = 0;  // 1: unwanted; 0: wanted
  double trust = 0;  // 0 to 1
  bool operator==(const Lesson&) const = default;
};

// The lesson of segmilter's own verdict. It is a weak one, and the score must not contain a term of
// the reputation: it would confirm itself. `vouched`: something besides the message speaks for the
// sender.
Lesson own_lesson(double score, bool vouched);

class Learner {
 public:
  // `counters` must outlive the learner.
  Learner(TableWriter& table, Counters& counters) : table_(table), counters_(counters) {}

  // `time`: when the message came; not later than `now`.
  void learn(const Origin& origin, const Lesson& lesson, Time time, Time now);

 private:
  struct When {
    Time time;
    Time now;
  };
  double teach(const Key& key, const Lesson& lesson, double trust, double most, const When& when);

  TableWriter& table_;
  Counters& counters_;
};

}  // namespace reputation
