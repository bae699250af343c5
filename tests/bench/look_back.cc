// How long it takes to look back: fills a store with messages of 48 hours and asks it.
//
//     look_back TRACES [MESSAGES [FOLDER]]     a file with a trace on each line; 1,000,000 messages;
//                                              a folder that is not there yet is kept
//
// The traces are judged as the filter does it; the rest is drawn with a fixed seed: 200,000 networks,
// of which few send much, by day more than by night. Exit codes: 0; 1 a report takes longer than a
// second, or a first page longer than 100 ms.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/history/history.h"
#include "milter/memory/store.h"

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr double kReportWanted = 1000;  // ms, for 1,000,000 messages
constexpr double kPageWanted = 100;
constexpr std::int64_t kEnd = 1'795'824'000'000;  // 2026-11-28 00:00 UTC
constexpr std::int64_t kHours = 48;
constexpr std::uint32_t kNetworks = 200'000;

memory::Sighting judged(const classifier::Trace& trace) {
  memory::Sighting sighting;
  sighting.verdict = classifier::classify(trace, {});
  sighting.trace = trace;
  const auto asks = sighting.verdict.asks;
  sighting.decision.would = asks;
  if (asks != classifier::Action::None) sighting.decision.held = policy::HeldBackBy::Monitor;
  sighting.listener = "mx";
  return sighting;
}

// Each trace twenty times, and once as a client would send it that speaks before the greeting, for
// which some scores ask for more than nothing.
std::vector<memory::Sighting> shapes_of(const char* file) {
  constexpr int kQuiet = 20;
  std::vector<memory::Sighting> all;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    auto read = classifier::parse_trace(line);
    auto* trace = std::get_if<classifier::Trace>(&read);
    if (trace == nullptr) continue;
    all.insert(all.end(), kQuiet, judged(*trace));
    trace->dialogue.early_talker = true;
    all.push_back(judged(*trace));
  }
  return all;
}

// More by day than by night: the hour's share is between 0.4 and 1.6 of the mean.
std::int64_t draw_time(std::mt19937_64& random, std::int64_t begin) {
  std::uniform_real_distribution<double> any(0, 1);
  for (;;) {
    const double hour = any(random) * kHours;
    constexpr double kPi = 3.141592653589793;
    if (any(random) * 1.6 < 1 - 0.6 * std::cos(hour / 24 * 2 * kPi)) {
      return begin + static_cast<std::int64_t>(hour * 3'600'000);
    }
  }
}

void fill(const std::string& folder, const std::vector<memory::Sighting>& shapes,
          unsigned messages) {
  std::mt19937_64 random(20261127);
  std::vector<std::int64_t> times(messages);
  for (auto& time : times) time = draw_time(random, kEnd - kHours * 3'600'000);
  std::sort(times.begin(), times.end());
  memory::Store store(folder);
  const memory::AddressForm form{config::Memory{}};
  std::vector<memory::Sighting> batch;
  std::exponential_distribution<double> skew(12);
  for (unsigned i = 0; i < messages; ++i) {
    auto& sighting = batch.emplace_back(shapes[random() % shapes.size()]);
    sighting.time = memory::Time(milliseconds(times[i]));
    sighting.queue_id = fmt::format("4Q{:08X}", i);
    const auto network =
        static_cast<std::uint32_t>(std::min(skew(random), 0.999999) * kNetworks) * 2654435761U;
    sighting.client = net::Endpoint::parse(fmt::format("{}.{}.{}.{}:{}", 11 + (network >> 16) % 200,
                                                       network >> 8 & 255, network & 255,
                                                       random() % 256, 1024 + random() % 60'000));
    if (batch.size() < 5000 && i + 1 < messages) continue;
    if (const auto written = store.write(batch, form); !written.error.empty()) {
      throw std::runtime_error(written.error);
    }
    batch.clear();
  }
}

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
    if (pairs.empty()) good = good && page.wall <= kPageWanted;
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
    const auto shapes = shapes_of(argv[1]);
    if (shapes.empty()) {
      fmt::print(stderr, "look_back: {}: has no trace\n", argv[1]);
      return 66;
    }
    fill(folder, shapes, argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1'000'000);
  }
  const int result = measure(folder);
  if (argc <= 3) fs::remove_all(folder);
  return result;
} catch (const std::exception& error) {
  fmt::print(stderr, "look_back: {}\n", error.what());
  return 71;
}
