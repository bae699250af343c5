// Writes what is learnt of messages into the table.
//
// A message teaches its address, its network, its gait there, its autonomous system and the site.
// So that nobody can spoil the neighbours' reputation, an address teaches its network at most
// kMostOfAddress a day, and a network teaches what is above it at most kMostOfNetwork. Further
// messages teach the lower levels only. Where messages have lost their addresses, all messages of a
// network may be of one address: together they teach the network as much as one address may. This
// needs the days in order. One thread.
#pragma once

#include <cstdint>

#include "milter/reputation/counters.h"
#include "milter/reputation/table.h"

namespace reputation {

inline constexpr double kMostOfAddress = 5;
inline constexpr double kMostOfNetwork = 20;

// What one message teaches. With trust 0 it is only counted as seen. One of a sample stands for
// several messages. It counts as so many, but is never trusted more than one message whose label is
// certain: the others may be of other senders.
struct Lesson {
  double label = 0;            // 1: unwanted; 0: wanted
  double trust = 0;            // 0 to 1
  std::uint32_t messages = 1;  // for which it stands
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
  double left_for_lost(const Key& network, double trust, Time time) const;
  double teach(const Key& key, const Lesson& lesson, double trust, double most, const When& when);

  TableWriter& table_;
  Counters& counters_;
};

}  // namespace reputation
