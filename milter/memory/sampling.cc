#include "milter/memory/sampling.h"

#include <utility>

namespace memory {

std::uint32_t sample_of(std::uint64_t bytes, std::uint64_t max_bytes) {
  std::uint32_t one_of = 1;
  auto room = bytes < max_bytes ? max_bytes - bytes : 0;
  for (; room <= max_bytes / 2 && one_of < kMostWeight; room *= 2) one_of *= 2;
  return one_of;
}

std::uint32_t Sampler::weight(const Sighting& sighting) {
  const bool looks_bad =
      sighting.verdict.score > 0 || sighting.decision.would != classifier::Action::None;
  if (looks_bad) return 1;
  if (++waiting_ < one_of_) return 0;
  return std::exchange(waiting_, 0);
}

}  // namespace memory
