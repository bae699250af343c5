#include "milter/recorded/sack.h"

#include <algorithm>
#include <iterator>

#include "milter/net/bytes.h"

namespace recorded {

using classifier::Span;

SackOption read_sack(std::span<const std::uint8_t> options) {
  constexpr std::uint8_t kEnd = 0;
  constexpr std::uint8_t kNop = 1;
  constexpr std::uint8_t kSack = 5;
  constexpr std::size_t kBlock = 8;
  SackOption out;
  for (std::size_t at = 0; at < options.size() && options[at] != kEnd;) {
    if (options[at] == kNop) {
      ++at;
      continue;
    }
    const std::size_t length = at + 1 < options.size() ? options[at + 1] : 0;
    const std::size_t end = std::min(at + length, options.size());
    if (options[at] == kSack) {
      out.there = true;
      for (std::size_t block = at + 2; block + kBlock <= end && out.count < SackOption::kMostBlocks;
           block += kBlock) {
        out.blocks[out.count++] = {net::get32(options, block), net::get32(options, block + 4)};
      }
      return out;
    }
    if (length < 2) return out;
    at += length;
  }
  return out;
}

void SackedRanges::add(Span range) {
  if (range.begin >= range.end) return;
  auto after = ranges_.upper_bound(range.begin);
  if (after != ranges_.begin() && std::prev(after)->second >= range.begin) {
    --after;
    range.begin = after->first;
  }
  while (after != ranges_.end() && after->first <= range.end) {
    range.end = std::max(range.end, after->second);
    after = ranges_.erase(after);
  }
  if (ranges_.size() < kMostRanges) ranges_.emplace_hint(after, range.begin, range.end);
}

void SackedRanges::drop_before(std::uint64_t offset) {
  while (!ranges_.empty() && ranges_.begin()->second <= offset) ranges_.erase(ranges_.begin());
}

std::optional<Span> SackedRanges::first_in(Span span) const {
  if (span.begin >= span.end) return std::nullopt;
  auto at = ranges_.upper_bound(span.begin);
  if (at != ranges_.begin() && std::prev(at)->second > span.begin) --at;
  if (at == ranges_.end() || at->first >= span.end) return std::nullopt;
  return Span{std::max(at->first, span.begin), std::min(at->second, span.end)};
}

}  // namespace recorded
