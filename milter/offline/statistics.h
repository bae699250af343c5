// How right a list of answers is: rates with their uncertainty, confusion, F1, calibration. Plain
// arithmetic on small integers, without knowledge of mail. Pure; any thread.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace offline {

struct Interval {
  double low = 0;
  double high = 1;
};

// So many of so many.
struct Rate {
  std::size_t hits = 0;
  std::size_t n = 0;
  void add(bool hit) {
    ++n;
    if (hit) ++hits;
  }
  // Nothing of nothing is no rate.
  std::optional<double> value() const;
  // The 95 % interval of Wilson (1927): unlike value ± 2σ it stays within 0..1 and says something
  // about 0 of 7.
  Interval wilson() const;
};

struct ClassScore {
  std::string name;
  std::size_t support = 0;   // messages of which it is the truth
  std::size_t answered = 0;  // messages of which it was the answer
  std::size_t right = 0;
  double precision = 0;  // right / answered; 0 where never answered
  double recall = 0;     // right / support; 0 where there is none
  double f1 = 0;
};

// Truth against answer. A message that was not found has an answer of kNone: it costs its class
// recall. One that should not be there has a truth of kNone: it costs the answered class precision.
class Confusion {
 public:
  static constexpr int kNone = -1;

  explicit Confusion(std::vector<std::string> names);

  // Requires: both within the names, or kNone.
  void add(int truth, int answer);

  const std::vector<std::string>& names() const { return names_; }
  std::size_t at(int truth, int answer) const;
  Rate accuracy() const;
  // Only names that occur, as truth or as answer.
  std::vector<ClassScore> classes() const;
  // The mean F1 of the classes that occur in the truth. An answer that is no truth anywhere costs
  // recall where it is given and does not bring a class of its own, with F1 0, into the mean.
  std::optional<double> macro_f1() const;

 private:
  std::size_t index(int truth, int answer) const;

  std::vector<std::string> names_;
  std::vector<std::size_t> counts_;  // (names + 1)²; the first row and column are kNone
};

// Does 0.9 mean 90 %? Ten bins of equal width.
class Calibration {
 public:
  static constexpr std::size_t kBins = 10;
  struct Bin {
    Rate right;
    double confidence = 0;  // mean of what was claimed
  };

  // What is not a number, or outside 0..1, is taken as the nearer end (not a number: 0).
  void add(double confidence, bool right);
  const std::array<Bin, kBins>& bins() const { return bins_; }
  std::size_t n() const;
  // Expected calibration error: mean over messages of |right - claimed| of their bin.
  std::optional<double> ece() const;

 private:
  std::array<Bin, kBins> bins_{};
};

}  // namespace offline
