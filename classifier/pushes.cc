// Finds the full segments that have PSH, and a buffer size that explains them.
//
// Example: lwIP 2.1, a program that writes blocks of 2048, MSS 1460. `|` is the end of a block, `p`
// is PSH:
//
//     1460      1460p     1460p     1460      1460p     1460p     1460
//     ··············|·············|··················|·············|··
//
// The same message in one write has PSH at its end only; written in lines, it has PSH on each
// segment.
#include "classifier/pushes.h"

#include <algorithm>
#include <string_view>

namespace classifier {
namespace {

constexpr std::uint32_t kUsualBlocks[] = {2048, 4096, 8192, 16384};

// One field of a signature: version:ttl:options:mss:window,scale:LAYOUT:QUIRKS:payload.
constexpr int kLayout = 5;
constexpr int kQuirks = 6;

std::string_view field(std::string_view syn, int number) {
  for (; number != 0; --number) {
    const std::size_t colon = syn.find(':');
    if (colon == std::string_view::npos) return {};
    syn.remove_prefix(colon + 1);
  }
  return syn.substr(0, syn.find(':'));
}

bool has(std::string_view list, std::string_view wanted) {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    if (list.substr(0, comma) == wanted) return true;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return false;
}

// True for lwIP's SYN. A Linux with both extensions switched off still sets DF. IPv6 has no DF, so
// only IPv4 counts.
bool pushes_at_ends(const Path& path) {
  const std::string_view layout = field(path.syn, kLayout);
  return path.syn.starts_with("4:") && !layout.empty() && !has(layout, "sok") &&
         !has(layout, "ts") && !has(field(path.syn, kQuirks), "df");
}

// Do exactly those full segments have PSH in which a block ends?
bool explains(std::uint32_t block, const Trace& trace, std::uint32_t full) {
  std::uint64_t end = 0;
  for (std::size_t i = 0; i + 1 < trace.segments.size(); ++i) {
    const Segment& segment = trace.segments[i];
    const std::uint64_t begin = end;
    end += segment.size;
    if (segment.size == full && segment.push != (end / block != begin / block)) return false;
  }
  return true;
}

}  // namespace

PushedEnds pushed_ends(const Trace& trace, const Writes& writes) {
  if (writes.full == 0 || !writes.segment.pushes || trace.state != State::Complete) return {};
  if (!trace.records.empty() || !pushes_at_ends(trace.path)) return {};
  PushedEnds ends;
  for (std::size_t i = 0; i < trace.segments.size(); ++i) {
    const Segment& segment = trace.segments[i];
    if (segment.resent || segment.late || segment.hole || segment.count != 1) return {};
    if (segment.size != writes.full || i + 1 == trace.segments.size()) continue;
    ++ends.fulls;
    if (segment.push) ++ends.pushed;
  }
  if (ends.pushed == 0) return ends;
  const auto* found =
      std::find_if(std::begin(kUsualBlocks), std::end(kUsualBlocks),
                   [&](std::uint32_t block) { return explains(block, trace, writes.full); });
  if (found != std::end(kUsualBlocks)) ends.block = *found;
  return ends;
}

}  // namespace classifier
