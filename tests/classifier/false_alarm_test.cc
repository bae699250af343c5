// How often the classifier labels legitimate mail as a bot's: mail servers over links of every
// kind, from the simulator. A separate program, since it takes as long as all others together.
#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace_text.h"
#include "tests/support/simulator.h"

using namespace classifier;

namespace {

// With sanitizers half of them take about 15 seconds. SEGMILTER_MESSAGES sets another number.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kMessages = 50'000;
#else
constexpr int kMessages = 100'000;
#endif

int messages() {
  const char* asked = std::getenv("SEGMILTER_MESSAGES");
  return asked != nullptr ? std::atoi(asked) : kMessages;
}

struct Sample {
  test::Letter letter;
  Trace trace;
  test::Mta mta = test::Mta::Postfix;
};

Sample next_message(test::Random& random) {
  const auto pick = [&](std::uint32_t least, std::uint32_t most) {
    return std::uniform_int_distribution<std::uint32_t>(least, most)(random);
  };
  Sample sample;
  // Most mail is small: a tenth is up to 100 KB.
  const std::uint32_t body = pick(0, 9) == 0 ? pick(20'000, 100'000) : pick(500, 20'000);
  sample.letter = test::write_letter(random, pick(4, 30), body, pick(0, 9) != 0);
  sample.mta = static_cast<test::Mta>(pick(0, test::kMtas - 1));
  const test::Link link = test::random_link(random);
  test::Stack stack = test::random_stack(random);
  const test::Program program =
      test::mta_program(sample.mta, sample.letter, link.mss, stack, random);
  sample.trace = test::simulate(sample.letter, program, stack, link, random);
  return sample;
}

}  // namespace

TEST_CASE("official mail servers are not called bots, on any link") {
  test::Random random(20141);  // an arbitrary seed; it is fixed, so that a failure can be repeated
  const Policy policy;
  Scratch scratch;
  Verdict verdict;
  int judged = 0;
  int acted = 0;
  std::array<int, kPatterns> patterns{};
  std::array<int, test::kMtas> bots{};
  std::string worst;
  for (int i = 0; i < messages(); ++i) {
    const Sample sample = next_message(random);
    classify(sample.trace, policy, scratch, verdict);
    ++judged;
    ++patterns[static_cast<std::size_t>(verdict.pattern)];
    acted += verdict.asks != Action::None || verdict.score >= policy.tempfail;
    const bool bot =
        verdict.pattern == Pattern::BotTemplate || verdict.pattern == Pattern::BotHeadersApart;
    if (!bot) continue;
    ++bots[static_cast<std::size_t>(sample.mta)];
    worst += print(sample.trace) + "\n";
  }
  // One in ten thousand, for scores and labels alike.
  const int allowed = judged / 10'000;
  CAPTURE(judged, worst);
  CHECK(acted <= allowed);
  CHECK(patterns[static_cast<std::size_t>(Pattern::BotTemplate)] +
            patterns[static_cast<std::size_t>(Pattern::BotHeadersApart)] <=
        allowed);
  // And most of them get a label: `noisy` and unknown ones are rare.
  CHECK(patterns[static_cast<std::size_t>(Pattern::Noisy)] < judged / 100);
}
