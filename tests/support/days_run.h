// Simulated days through the real store and the real table of reputations: each message is judged
// by what was learnt before it, and then it teaches.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace simulation {

// How well a number from 0 to 1 tells unwanted mail from the rest.
struct Quality {
  double auc = 0;  // share of pairs of an unwanted and a wanted message that it puts in order
  double ece = 0;  // mean difference to the share that was unwanted, over twenty bins
};

struct Ranking {
  void add(double estimate, bool unwanted) { rows.push_back({estimate, unwanted}); }
  Quality quality() const;

  struct Row {
    double estimate;
    bool unwanted;
  };
  std::vector<Row> rows;
};

struct Result {
  std::uint64_t messages = 0;
  std::uint64_t unwanted = 0;
  std::uint64_t stored = 0;
  std::uint64_t lessons_bad = 0;
  std::uint64_t lessons_good = 0;
  std::uint64_t entries = 0;
  std::uint64_t evictions = 0;
  std::uint64_t refused = 0;
  double reputation_seconds = 0;  // looking up and learning
  double store_seconds = 0;
  Quality chain;
  Quality address;  // the same table without the levels above the address
  // The mean term of unwanted and of wanted messages on the second day.
  double term_unwanted = 0;
  double term_wanted = 0;
};

struct Settings {
  std::uint64_t messages = 1'000'000;
  std::uint64_t seed = 1;
  double labels = 0;   // share of messages that somebody else labels, with full trust
  std::string folder;  // of the store; empty: nothing is stored
  std::string traces;  // folder of the corpus
};

// Throws std::runtime_error if there are no traces.
Result run_days(const Settings& settings);

}  // namespace simulation
