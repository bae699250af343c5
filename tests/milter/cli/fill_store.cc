// Fills a store as the memory process does, for tests of the commands that look back.
//
//     fill_store FOLDER
//
// One message of the slides' bot in each of the last 100 hours, from 192.0.2.0/24, with the queue
// ids Q0 (now) to Q99; one that was not observed, X, from 198.51.100.7, an hour ago.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "milter/memory/store.h"
#include "tests/support/sightings.h"

int main(int argc, char** argv) try {
  if (argc != 2) {
    fmt::print(stderr, "fill_store FOLDER\n");
    return 64;
  }
  using namespace std::chrono;
  const auto now = floor<milliseconds>(system_clock::now()).time_since_epoch().count();
  constexpr std::int64_t kHour = 3'600'000;
  std::vector<memory::Sighting> all;
  for (int i = 99; i >= 0; --i) {
    all.push_back(memory::bot_sighting(now - i * kHour, fmt::format("192.0.2.{}:{}", i, 1024 + i),
                                       fmt::format("Q{}", i)));
  }
  auto lost = memory::bot_sighting(now - kHour, "198.51.100.7:1", "X");
  lost.trace = classifier::unobserved(classifier::Reason::Timeout, 1);
  lost.verdict = classifier::classify(lost.trace, {});
  lost.basis = policy::Basis::Unobserved;
  lost.decision = {};
  all.push_back(lost);
  memory::Store store(argv[1]);
  const auto written = store.write(all, memory::AddressForm(config::Memory{}));
  if (written.rows != all.size()) fmt::print(stderr, "fill_store: {}\n", written.error);
  return written.rows == all.size() ? 0 : 1;
} catch (const std::exception& error) {
  fmt::print(stderr, "fill_store: {}\n", error.what());
  return 71;
}
