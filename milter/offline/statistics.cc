#include "milter/offline/statistics.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

namespace offline {
namespace {

double ratio(std::size_t part, std::size_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

std::optional<double> Rate::value() const {
  if (n == 0) return std::nullopt;
  return ratio(hits, n);
}

Interval Rate::wilson() const {
  if (n == 0) return {};
  constexpr double kZ = 1.959963984540054;  // 95 %
  const auto size = static_cast<double>(n);
  const double p = ratio(hits, n);
  const double scale = 1 + kZ * kZ / size;
  const double centre = (p + kZ * kZ / (2 * size)) / scale;
  const double half = kZ / scale * std::sqrt(p * (1 - p) / size + kZ * kZ / (4 * size * size));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

Confusion::Confusion(std::vector<std::string> names)
    : names_(std::move(names)), counts_((names_.size() + 1) * (names_.size() + 1)) {}

std::size_t Confusion::index(int truth, int answer) const {
  const int classes = static_cast<int>(names_.size());
  assert(truth >= kNone && truth < classes && answer >= kNone && answer < classes);
  return static_cast<std::size_t>((truth + 1) * (classes + 1) + answer + 1);
}

void Confusion::add(int truth, int answer) {
  ++counts_[index(truth, answer)];
}

std::size_t Confusion::at(int truth, int answer) const {
  return counts_[index(truth, answer)];
}

Rate Confusion::accuracy() const {
  Rate rate;
  for (const std::size_t count : counts_) rate.n += count;
  for (int i = 0; i < static_cast<int>(names_.size()); ++i) rate.hits += at(i, i);
  return rate;
}

std::vector<ClassScore> Confusion::classes() const {
  std::vector<ClassScore> scores;
  const int classes = static_cast<int>(names_.size());
  for (int i = 0; i < classes; ++i) {
    ClassScore score{.name = names_[static_cast<std::size_t>(i)]};
    for (int other = kNone; other < classes; ++other) {
      score.support += at(i, other);
      score.answered += at(other, i);
    }
    if (score.support + score.answered == 0) continue;
    score.right = at(i, i);
    score.precision = ratio(score.right, score.answered);
    score.recall = ratio(score.right, score.support);
    score.f1 = ratio(2 * score.right, score.support + score.answered);
    scores.push_back(std::move(score));
  }
  return scores;
}

std::optional<double> Confusion::macro_f1() const {
  double sum = 0;
  std::size_t n = 0;
  for (const ClassScore& score : classes()) {
    if (score.support == 0) continue;
    sum += score.f1;
    ++n;
  }
  if (n == 0) return std::nullopt;
  return sum / static_cast<double>(n);
}

void Calibration::add(double confidence, bool right) {
  const double claimed = std::isnan(confidence) ? 0 : std::clamp(confidence, 0.0, 1.0);
  // 1.0 belongs to the last bin, which is closed on both sides.
  const auto place = std::min(kBins - 1, static_cast<std::size_t>(claimed * kBins));
  Bin& bin = bins_[place];
  bin.right.add(right);
  bin.confidence += (claimed - bin.confidence) / static_cast<double>(bin.right.n);
}

std::size_t Calibration::n() const {
  std::size_t n = 0;
  for (const Bin& bin : bins_) n += bin.right.n;
  return n;
}

std::optional<double> Calibration::ece() const {
  const std::size_t all = n();
  if (all == 0) return std::nullopt;
  double error = 0;
  for (const Bin& bin : bins_) {
    if (bin.right.n == 0) continue;
    error += ratio(bin.right.n, all) * std::abs(*bin.right.value() - bin.confidence);
  }
  return error;
}

}  // namespace offline
