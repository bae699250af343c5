// Finds numbers among the counters of all processes by their published names (process/metrics.h).
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "milter/process/metrics.h"

namespace desk {

// Null: no process of this configuration has it.
const process::Family* find(const process::Families& families, std::string_view name);

// The sum of the family's samples, or the one with that value of its label. Nothing: there is none.
std::optional<std::uint64_t> value(const process::Families& families, std::string_view name,
                                   std::string_view label = {});

// The times within which half of the filter's answers, and 99 in 100, were given, as the limits of
// the bins of answers_total in which they fall ("2ms", "more"). Nothing: there were no answers.
struct Latency {
  std::uint64_t answers = 0;
  std::optional<std::string_view> p50, p99;
};
Latency latency(const process::Families& families);

}  // namespace desk
