#include "milter/reputation/standing.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace reputation {
namespace {

// How many messages of its own a level needs to count as much as the level before it. They change
// the calibration and hardly the order of clients.
double shrinkage(Kind kind) {
  switch (kind) {
    case Kind::Asn:
      return 2;
    case Kind::Network:
      return 4;
    case Kind::Address:
    case Kind::Gait:
    case Kind::Site:
      break;
  }
  return 3;
}

// A level with less than two weak lessons says nothing yet.
constexpr double kLeastTotal = 0.5;
// What is learnt is chosen, and not a sample of the mail: a site where only unwanted mail is
// learnt would have a rate of 1, and one good message would weigh there more than hundred bad ones.
constexpr double kLeastRate = 0.1;
constexpr double kMostRate = 0.9;

double logit(double rate) {
  return std::log(rate / (1 - rate));
}

}  // namespace

std::chrono::days half_life(Kind kind) {
  switch (kind) {
    case Kind::Site:
    case Kind::Asn:
      return std::chrono::days(30);
    case Kind::Network:
    case Kind::Gait:
      return std::chrono::days(14);
    case Kind::Address:
      break;
  }
  return std::chrono::days(7);
}

Standing combine(const Sums& site, std::span<const Known> levels, const Clamp& clamp) {
  Standing standing;
  double rate = std::clamp((site.spam + 1) / (site.total + 2), kLeastRate, kMostRate);
  const double base = logit(rate);
  int place = 0;  // the log-odds against the site so far, in tenths
  for (const Known& known : levels) {
    const Sums& sums = known.sums;
    if (sums.total >= kLeastTotal) {
      const double k = shrinkage(known.kind);
      rate = (sums.spam + k * rate) / (sums.total + k);
    }
    const int next = std::clamp(static_cast<int>(std::lround(10 * (logit(rate) - base))),
                                clamp.least, clamp.most);
    standing.levels.push_back({.kind = known.kind,
                               .name = known.name,
                               .delta = (next - place) / 10.0,
                               .spam = sums.bad,
                               .total = sums.seen,
                               .half_life = half_life(known.kind)});
    place = next;
  }
  standing.term = place / 10.0;
  standing.rate = rate;
  return standing;
}

std::string sentence(const Level& level) {
  return fmt::format("{} {} {:+.1f} ({:.0f} of {:.0f} in {} d)", name(level.kind), level.name,
                     level.delta, level.spam, level.total, level.half_life.count());
}

}  // namespace reputation
