// How long it takes to look back: fills a store with messages of 48 hours and asks it.
//
//     look_back TRACES [MESSAGES [FOLDER]]     a file with a trace on each line; 1,000,000 messages;
//                                              a folder that is not there yet is kept
//
// The traces are judged as the filter does it; the rest is drawn with a fixed seed: 200,000
// networks, of which few send much, by day more than by night. Exit codes: 0; 1 a report takes
// longer than a second, or a first page more than 20 ms of CPU.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "milter/history/history.h"
#include "tests/support/filled_store.h"

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr double kReportWanted = 1000;  // ms, for 1,000,000 messages
constexpr double kPageWanted = 20;
constexpr std::int64_t kEnd = 1'795'824'000'000;  // 2026-11-28 00:00 UTC

struct Cost {
  double wall = 0;  // ms
  double cpu = 0;   // ms of this process: what the wall clock would say on an idle machine
};

// The longest of three by the wall clock; the first one finds the files as they were left.
template <typename Ask>
Cost longest(Ask&& ask) {
  Cost most;
  for (int i = 0; i < 3; ++i) {
    const auto begin = Clock::now();
    const auto cpu = std::clock();
    ask();
    const Cost one{std::chrono::duration<double, std::milli>(Clock::now() - begin).count(),
                   1000.0 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC};
    if (one.wall > most.wall) most = one;
  }
  return most;
}

history::Selection selection(const history::Pairs& pairs) {
  const auto read = history::parse(pairs, memory::Time(milliseconds(kEnd)));
  return std::get<history::Selection>(read);
}

int measure(const std::string& folder) {
  config::Memory settings;
  settings.folder = folder;
  history::History history(settings);
  bool good = true;
  std::uint64_t messages = 0;
  std::size_t networks = 0;
  const Cost report = longest([&] {
    const auto counts = history.count(selection({{"since", "48h"}}));
    messages = counts.all().messages;
    networks = counts.distinct_networks;
  });
  fmt::print("report of {} messages from {} networks: {:.0f} ms (CPU {:.0f} ms)\n", messages,
             networks, report.wall, report.cpu);
  good = good && report.wall <= kReportWanted;
  const history::Pairs questions[] = {
      {},
      {{"pattern", "bot-template"}},
      {{"pattern", "!official-mta,relay"}},
      {{"would", "!none"}},
      {{"min-score", "6"}},
      {{"from", "2026-11-26T12:00:00Z"}, {"to", "2026-11-26T13:00:00Z"}},
      {{"queue-id", "4Q00001234"}},
      {{"client", "192.0.2.0/24"}},
      {{"client", "192.0.2.7"}},
      {{"client", "192.0.0.0/15"}},
      {{"gait", "no-such-program"}},
  };
  for (const auto& pairs : questions) {
    std::string name;
    for (const auto& [key, value] : pairs) name += fmt::format(" {}={}", key, value);
    std::size_t rows = 0;
    const Cost page = longest(
        [&] { rows = history.page(selection(pairs), {.rows = 50, .before = {}}).rows.size(); });
    fmt::print("first page,{}: {} rows, {:.1f} ms (CPU {:.1f} ms)\n", name.empty() ? " all" : name,
               rows, page.wall, page.cpu);
    good = good && page.cpu <= kPageWanted;
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    fmt::print(stderr, "look_back TRACES [MESSAGES [FOLDER]]\n");
    return 64;
  }
  char name[] = "/tmp/segmilter-look-back-XXXXXX";
  const std::string folder = argc > 3 ? argv[3] : mkdtemp(name);
  if (argc <= 3 || fs::create_directories(folder)) {
    const auto shapes = support::shapes_of(argv[1]);
    if (shapes.empty()) {
      fmt::print(stderr, "look_back: {}: has no trace\n", argv[1]);
      return 66;
    }
    support::fill_store(folder, shapes,
                        argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1'000'000, kEnd);
  }
  const int result = measure(folder);
  if (argc <= 3) fs::remove_all(folder);
  return result;
} catch (const std::exception& error) {
  fmt::print(stderr, "look_back: {}\n", error.what());
  return 71;
}
