// Judging a message takes no memory from the heap once the buffers are warm. This is a separate
// program, since it counts every allocation.
#include <catch2/catch.hpp>
#include <cstdlib>
#include <new>
#include <vector>

#include "classifier/classify.h"
#include "tests/support/simulator.h"

namespace {

long allocations = 0;

}  // namespace

void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size != 0 ? size : 1)) return memory;
  throw std::bad_alloc();
}
void* operator new[](std::size_t size) {
  return operator new(size);
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  return std::malloc(size != 0 ? size : 1);
}
void* operator new[](std::size_t size, const std::nothrow_t& tag) noexcept {
  return operator new(size, tag);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}

TEST_CASE("a warm classifier judges without the heap") {
  test::Random random(5);
  std::vector<classifier::Trace> traces;
  for (int i = 0; i < 200; ++i) {
    const test::Letter letter = test::write_letter(random, 9, 15'000, i % 2 == 0);
    const test::Link link = test::random_link(random);
    test::Stack stack = test::random_stack(random);
    const int which = i % (test::kMtas + 2);
    const test::Program program =
        which == test::kMtas ? test::by_line(letter)
        : which == test::kMtas + 1
            ? test::cut_at(letter, {letter.marks.body_begin})
            : test::mta_program(static_cast<test::Mta>(which), letter, link.mss, stack, random);
    traces.push_back(test::simulate(letter, program, stack, link, random));
  }
  const classifier::Policy policy;
  classifier::Scratch scratch;
  classifier::Verdict verdict;
  const auto judge_all = [&] {
    for (const classifier::Trace& trace : traces) {
      classifier::classify(trace, policy, scratch, verdict);
    }
  };
  judge_all();
  const long before = allocations;
  judge_all();
  CHECK(allocations - before == 0);
  // The counter itself works.
  CHECK_FALSE(verdict.reasons.sentences().empty());
  CHECK(allocations > before);
}

TEST_CASE("a verdict that was used before becomes equal to a new one") {
  test::Random random(6);
  classifier::Scratch scratch;
  classifier::Verdict used;
  for (int i = 0; i < 50; ++i) {
    const test::Letter letter = test::write_letter(random, 9, 9'000, i % 2 == 0);
    const classifier::Trace trace =
        test::simulate(letter, test::in_blocks(letter, 1024U << (i % 4)), {}, {}, random);
    classifier::classify(trace, {}, scratch, used);
    const classifier::Verdict fresh = classifier::classify(trace, {});
    CHECK(used.pattern == fresh.pattern);
    CHECK(used.confidence == fresh.confidence);
    CHECK(used.score == fresh.score);
    CHECK(used.writes == fresh.writes);
    CHECK(used.reasons.sentences() == fresh.reasons.sentences());
  }
}
