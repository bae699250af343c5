#include "milter/desk/numbers.h"

#include <algorithm>

namespace desk {

const process::Family* find(const process::Families& families, std::string_view name) {
  const auto found = std::find_if(families.begin(), families.end(),
                                  [name](const auto& family) { return family.name == name; });
  return found == families.end() ? nullptr : &*found;
}

std::optional<std::uint64_t> value(const process::Families& families, std::string_view name,
                                   std::string_view label) {
  const auto* family = find(families, name);
  if (family == nullptr) return std::nullopt;
  std::optional<std::uint64_t> sum;
  for (const auto& sample : family->samples) {
    if (label.empty() || sample.value == label) sum = sum.value_or(0) + sample.count->load();
  }
  return sum;
}

Latency latency(const process::Families& families) {
  const auto* family = find(families, "answers_total");
  Latency latency;
  if (family == nullptr) return latency;
  for (const auto& sample : family->samples) latency.answers += sample.count->load();
  std::uint64_t below = 0;
  for (const auto& sample : family->samples) {
    below += sample.count->load();
    if (below == 0) continue;
    if (!latency.p50 && 2 * below >= latency.answers) latency.p50 = sample.value;
    if (!latency.p99 && 100 * below >= 99 * latency.answers) latency.p99 = sample.value;
  }
  return latency;
}

}  // namespace desk
