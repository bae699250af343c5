// What the sightings of a client's surroundings add to a score, and the rule by which they do.
//
//     site ─► ASN ─► network ─► address ─► gait in the network
//
// Each level has decayed sums of what was learnt: s of unwanted mail, n of all. A level with few
// messages leans on the level before it ("shrinkage"):
//
//     m = (s + K × m of the level before) / (n + K)        the site: (s + 1) / (n + 2)
//
// The term is the log-odds of the last level's m less those of the site. Each level adds the
// difference to the level before it, so the numbers of the reasons add up to the term exactly: the
// term and its parts are whole tenths.
//
// On made-up sites this rule ranks better and is better calibrated than the address alone, the sum
// of the levels, and a mean with a threshold (tests/long/days prints the figures).
// Pure; safe from any thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "milter/reputation/key.h"
#include "milter/reputation/networks.h"

namespace reputation {

using Time = std::chrono::sys_seconds;

// One level's part of the term.
struct Level {
  Kind kind = Kind::Network;
  std::string name;  // "AS64500", "192.0.2.0/24", "192.0.2.7", a gait
  double delta = 0;  // log-odds; whole tenths
  double spam = 0;   // of the messages that were seen, those that were unwanted; both decay by half
  double total = 0;  // in `half_life`
  std::chrono::days half_life{0};
  bool operator==(const Level&) const = default;
};

// No levels: nothing is known of the client. That is an answer too.
struct Standing {
  double term = 0;  // the sum of the deltas
  double rate = 0;  // the last level's m: the share of unwanted mail that is expected, 0 to 1
  std::vector<Level> levels;
  NetworkFacts network;  // what the files of networks say; it adds nothing
  bool operator==(const Standing&) const = default;
};

// Half of what a level has learnt is forgotten in this time.
std::chrono::days half_life(Kind kind);

// The limits of the term, in tenths.
struct Clamp {
  int least = -15;
  int most = 25;
};

// The sums of one level, decayed to the time of the question.
struct Sums {
  double spam = 0;   // weights of what was learnt as unwanted
  double total = 0;  // weights of all that was learnt
  double bad = 0;    // messages that were learnt as unwanted
  double seen = 0;   // messages
};

struct Known {
  Kind kind = Kind::Network;
  std::string name;
  Sums sums;
};

// `levels`: below the site, in the order of the chain; those that are not known are left out.
Standing combine(const Sums& site, std::span<const Known> levels, const Clamp& clamp = {});

// "network 192.0.2.0/24 +0.9 (41 of 60 in 14 d)"
std::string sentence(const Level& level);

}  // namespace reputation
