// How long the desk takes for each of its pages, and how large they are: fills a store with
// messages of the last 48 hours and asks for the pages as a browser does, each one for the first
// time and again.
//
//     desk_pages TRACES [MESSAGES [FOLDER]]    a file with a trace on each line; 1,000,000 messages; a
//                                              folder that is not there yet is filled and kept
//
// Pages of counts are asked for when they have been counted once, as they are soon after the start.
// Exit codes: 0; 1 a page takes longer than 20 ms of CPU, or has more than 200,000 bytes.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "milter/desk/site.h"
#include "tests/support/filled_store.h"

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr double kTimeWanted = 20;  // ms
constexpr std::size_t kSizeWanted = 200'000;

struct Case {
  std::string path;
  history::Pairs query;
};

struct Cost {
  double wall = 0;  // ms
  double cpu = 0;   // ms of this process: what the wall clock would say on an idle machine
  std::size_t bytes = 0;
};

double ms_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::milli>(Clock::now() - begin).count();
}

Cost ask(desk::Site& site, const Case& one) {
  const auto begin = Clock::now();
  const auto cpu = std::clock();
  for (;;) {
    const auto response = site.answer({.path = one.path, .query = one.query});
    if (response) {
      return {ms_since(begin), 1000.0 * static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC,
              response->body.size()};
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

int measure(const std::string& folder) {
  config::Config config;
  config.memory.folder = folder;
  const process::Families families;
  desk::Lookups lookups(config.memory, [] {});
  lookups.start();
  desk::Site site(std::make_shared<const config::Config>(config), families, lookups, [] {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  });
  for (const auto* counted : {"/", "/what-if"}) {
    const auto cost = ask(site, {counted, {}});
    fmt::print("counting for {}: {:.0f} ms (CPU {:.0f} ms), in the background\n", counted,
               cost.wall, cost.cpu);
  }
  // The desk may be counting again at this moment.
  std::this_thread::sleep_for(std::chrono::seconds(1));
  const Case cases[] = {
      {"/", {}},
      {"/messages", {}},
      {"/messages", {{"pattern", "bot-template"}}},
      {"/messages", {{"pattern", "!official-mta"}, {"since", "24h"}}},
      {"/senders", {}},
      {"/senders", {{"by", "gait"}}},
      {"/what-if", {}},
      {"/health", {}},
      {"/messages", {{"client", "203.0.113.0/24"}}},
      {"/messages", {{"client", "203.0.113.7"}}},
      {"/messages", {{"client", "203.0.0.0/14"}}},
      {"/messages", {{"min-score", "100"}}},
      {"/messages/4Q00000007", {}},
  };
  bool good = true;
  for (const auto& one : cases) {
    const auto cost = ask(site, one);
    const bool fits = cost.bytes <= kSizeWanted && cost.cpu <= kTimeWanted;
    good = good && fits;
    fmt::print("{}{}: {:.1f} ms (CPU {:.1f} ms), {} bytes{}\n", one.path,
               one.query.empty() ? "" : "?" + one.query.front().key + "=" + one.query.front().value,
               cost.wall, cost.cpu, cost.bytes, fits ? "" : "  TOO MUCH");
  }
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    fmt::print(stderr, "desk_pages TRACES [MESSAGES [FOLDER]]\n");
    return 64;
  }
  char name[] = "/tmp/segmilter-desk-pages-XXXXXX";
  const std::string folder = argc > 3 ? argv[3] : mkdtemp(name);
  if (argc <= 3 || fs::create_directories(folder)) {
    const auto shapes = support::shapes_of(argv[1]);
    if (shapes.empty()) {
      fmt::print(stderr, "desk_pages: {}: has no trace\n", argv[1]);
      return 66;
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    support::fill_store(folder, shapes,
                        argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1'000'000,
                        std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  }
  const int result = measure(folder);
  if (argc <= 3) fs::remove_all(folder);
  return result;
} catch (const std::exception& error) {
  fmt::print(stderr, "desk_pages: {}\n", error.what());
  return 71;
}
