// Measures how long a verdict takes: from a trace to pattern, score and reasons, without their
// text.
//
//     build/release/tests/classify_trace [--benchmark_repetitions=9]
//
// The target is 2 µs for a message of twelve segments. `formatted` also makes the reasons'
// sentences, which only a debug log needs.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "classifier/classify.h"
#include "tests/support/simulator.h"

namespace {

using classifier::Trace;

// Messages of about `segments` segments, by mail servers and line writers over ordinary links. They
// are mixed so that the branch predictor does not learn one answer.
std::vector<Trace> traces_of(std::uint32_t segments) {
  test::Random random(12);
  std::vector<Trace> traces;
  while (traces.size() < 64) {
    const test::Letter letter = test::write_letter(random, 9, segments * 1448 - 1200, true);
    const test::Link link{.loss = traces.size() % 4 == 0 ? 0.02 : 0};
    test::Stack stack;
    const auto which = static_cast<std::uint32_t>(traces.size() % (test::kMtas + 1));
    const test::Program program =
        which == test::kMtas
            ? test::by_line(letter)
            : test::mta_program(static_cast<test::Mta>(which), letter, link.mss, stack, random);
    Trace trace = test::simulate(letter, program, stack, link, random);
    if (trace.segments.size() > segments + 4) continue;
    traces.push_back(std::move(trace));
  }
  return traces;
}

void classify(benchmark::State& state) {
  const std::vector<Trace> traces = traces_of(static_cast<std::uint32_t>(state.range(0)));
  const classifier::Policy policy;
  classifier::Scratch scratch;
  classifier::Verdict verdict;
  std::size_t next = 0;
  for ([[maybe_unused]] auto _ : state) {
    classifier::classify(traces[next++ % traces.size()], policy, scratch, verdict);
    benchmark::DoNotOptimize(verdict.score);
  }
}
BENCHMARK(classify)->Arg(3)->Arg(12)->Arg(70);

void classify_formatted(benchmark::State& state) {
  const std::vector<Trace> traces = traces_of(12);
  const classifier::Policy policy;
  for ([[maybe_unused]] auto _ : state) {
    const classifier::Verdict verdict = classifier::classify(traces[0], policy);
    benchmark::DoNotOptimize(verdict.reasons.sentences());
  }
}
BENCHMARK(classify_formatted);

}  // namespace

BENCHMARK_MAIN();
