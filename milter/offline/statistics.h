// Statistics about right and wrong answers: rates with their uncertainty, confusion, F1,
// calibration. These are sums over small integers and know nothing about mail. Pure; any thread.
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

// A share: `hits` of `n`.
struct Rate {
  std::size_t hits = 0;
  std::size_t n = 0;
  void add(bool hit) {
    ++n;
    if (hit) ++hits;
  }
  // nullopt: n is 0.
  std::optional<double> value() const;
  // The 95 % interval of Wilson (1927). Not value ± 2σ, because that may leave 0..1 and has no
  // width for 0 of 7.
  Interval wilson() const;
};

struct ClassScore {
  std::string name;
  std::size_t support = 0;   // messages whose truth is this class
  std::size_t answered = 0;  // messages whose answer is this class
  std::size_t right = 0;
  double precision = 0;  // right / answered; 0 if answered is 0
  double recall = 0;     // right / support; 0 if support is 0
  double f1 = 0;
};

// Counts messages by their truth and their answer. A message that was not found has the answer
// kNone: it lowers the recall of its class. A message that should not exist has the truth kNone: it
// lowers the precision of the class that was answered.
class Confusion {
 public:
  static constexpr int kNone = -1;

  explicit Confusion(std::vector<std::string> names);

  // Requires: both within the names, or kNone.
  void add(int truth, int answer);

  const std::vector<std::string>& names() const { return names_; }
  std::size_t at(int truth, int answer) const;
  Rate accuracy() const;
  // Only classes that occur as a truth or as an answer.
  std::vector<ClassScore> classes() const;
  // The mean F1 of the classes that occur in the truth. A class that occurs only as an answer is
  // not part of the mean, where it would have an F1 of 0. Its answers are wrong, so they already
  // lower the recall of the true classes. nullopt: no class occurs in the truth.
  std::optional<double> macro_f1() const;

 private:
  std::size_t index(int truth, int answer) const;

  std::vector<std::string> names_;
  std::vector<std::size_t> counts_;  // (names + 1)²; the first row and column are kNone
};

// Compares claimed confidences with the share of right answers (does 0.9 mean 90 %?), in ten bins
// of equal width.
class Calibration {
 public:
  static constexpr std::size_t kBins = 10;
  struct Bin {
    Rate right;
    double confidence = 0;  // the mean of the claimed confidences
  };

  // A confidence outside of 0..1 counts as the nearer end, and NaN counts as 0.
  void add(double confidence, bool right);
  const std::array<Bin, kBins>& bins() const { return bins_; }
  std::size_t n() const;
  // The expected calibration error: the mean over all messages of |right - claimed| of their bin.
  // nullopt: there are no messages.
  std::optional<double> ece() const;

 private:
  std::array<Bin, kBins> bins_{};
};

}  // namespace offline
