#include "milter/memory/sampling.h"

#include <catch2/catch.hpp>

#include "tests/support/sightings.h"

using memory::sample_of;
using memory::Sampler;

namespace {

memory::Sighting harmless() {
  auto sighting = memory::bot_sighting();
  sighting.verdict.score = -0.5;
  sighting.decision = {};
  return sighting;
}

}  // namespace

TEST_CASE("the less room there is for today, the more messages share a row") {
  struct Row {
    std::uint64_t bytes;
    std::uint32_t one_of;
  };
  const Row rows[] = {{0, 1},    {499, 1},   {500, 2},     {749, 2},     {750, 4},     {875, 8},
                      {938, 16}, {999, 512}, {1000, 1024}, {5000, 1024}, {~0ULL, 1024}};
  for (const Row& row : rows) {
    INFO(row.bytes);
    CHECK(sample_of(row.bytes, 1000) == row.one_of);
  }
  CHECK(sample_of(0, ~0ULL) == 1);
  CHECK(sample_of(1ULL << 63, ~0ULL) == 2);
  CHECK(sample_of(0, 0) == memory::kMostWeight);
}

TEST_CASE("every message has a row while nothing is sampled") {
  Sampler sampler;
  for (int i = 0; i < 5; ++i) CHECK(sampler.weight(harmless()) == 1);
}

TEST_CASE("what looks bad always has a row, and stands for itself only") {
  Sampler sampler;
  sampler.set(4);
  auto refused = harmless();
  refused.decision.would = classifier::Action::Reject;
  CHECK(sampler.weight(harmless()) == 0);
  CHECK(sampler.weight(memory::bot_sighting()) == 1);
  CHECK(sampler.weight(refused) == 1);
  CHECK(sampler.weight(harmless()) == 0);
  CHECK(sampler.weight(harmless()) == 0);
  CHECK(sampler.weight(harmless()) == 4);
}

TEST_CASE("the weights add up to the number of messages, also when the sample changes") {
  Sampler sampler;
  std::uint32_t messages = 0, weights = 0;
  for (const std::uint32_t one_of : {1, 2, 8, 1024, 4, 1}) {
    sampler.set(one_of);
    for (int i = 0; i < 3000; ++i, ++messages) weights += sampler.weight(harmless());
  }
  CHECK(weights == messages);
}
