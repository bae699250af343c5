// Fills a store with many messages of 48 hours, for benchmarks and for looking at pages. The traces
// are judged as the filter does it; the rest is drawn with a fixed seed: 200,000 networks, of which
// few send much, by day more than by night.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/memory/store.h"

namespace support {

inline constexpr std::int64_t kFilledHours = 48;

inline memory::Sighting judged(const classifier::Trace& trace) {
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
inline std::vector<memory::Sighting> shapes_of(const char* file) {
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
inline std::int64_t draw_time(std::mt19937_64& random, std::int64_t begin) {
  std::uniform_real_distribution<double> any(0, 1);
  for (;;) {
    const double hour = any(random) * kFilledHours;
    constexpr double kPi = 3.141592653589793;
    if (any(random) * 1.6 < 1 - 0.6 * std::cos(hour / 24 * 2 * kPi)) {
      return begin + static_cast<std::int64_t>(hour * 3'600'000);
    }
  }
}

// The last message comes before `end`, in milliseconds since 1970. Throws std::runtime_error.
inline void fill_store(const std::string& folder, const std::vector<memory::Sighting>& shapes,
                       unsigned messages, std::int64_t end) {
  constexpr std::uint32_t kNetworks = 200'000;
  std::mt19937_64 random(20261127);
  std::vector<std::int64_t> times(messages);
  for (auto& time : times) time = draw_time(random, end - kFilledHours * 3'600'000);
  std::sort(times.begin(), times.end());
  memory::Store store(folder);
  const memory::AddressForm form{config::Memory{}};
  std::vector<memory::Sighting> batch;
  std::exponential_distribution<double> skew(12);
  for (unsigned i = 0; i < messages; ++i) {
    auto& sighting = batch.emplace_back(shapes[random() % shapes.size()]);
    sighting.time = memory::Time(std::chrono::milliseconds(times[i]));
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

}  // namespace support
