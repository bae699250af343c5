#include "classifier/buffers.h"

#include <numeric>

namespace classifier {
namespace {

// A buffer of another size is believed when it repeats and is no line or header.
constexpr std::uint32_t kLeastOtherBlock = 512;
// Of all cuts, this share must lie on the grid where no landmark denies it: a first cut on it is
// one chance in a thousand, but the path may have made others.
constexpr double kLeastOnGrid = 0.33;
constexpr double kMostOnGrid = 0.6;  // and this for a size that is no usual buffer's

// What the cuts on the grid have in common is a multiple of the buffer's size where ends between
// them are hidden. Taken as it is when the first ends are all there (10240, 20480: a buffer of
// 10240), else without its odd factor, since nearly all buffers are powers of two (a single end at
// 12288: 4096).
std::uint32_t buffer_size(std::uint32_t common, std::uint32_t first, std::uint32_t ends) {
  if (ends > 1 && common == first) return common;
  return common & (~common + 1);
}

}  // namespace

void find_block(Features& features) {
  std::uint32_t kilobytes = 0;
  std::uint32_t on_kilobytes = 0;
  std::uint32_t on_exims = 0;
  std::uint32_t first = 0;
  for (const Cut& cut : features.cuts) {
    if (!tells_writer(cut.place)) continue;
    if (first == 0) first = cut.run;
    if (cut.run % kKilobyte == 0) {
      kilobytes = std::gcd(kilobytes, cut.run);
      ++on_kilobytes;
    } else if (cut.run % kEximBlock == 0 || cut.run % kEximChunkBlock == 0) {
      ++on_exims;
    }
  }
  if (first == 0) return;
  const std::uint32_t exims = first % kEximBlock == 0 ? kEximBlock : kEximChunkBlock;
  const std::uint32_t telling = features.telling();
  const auto enough = [&](std::uint32_t hits) { return hits >= kLeastOnGrid * telling; };
  if (first % kKilobyte == 0 && enough(on_kilobytes)) {
    features.block = buffer_size(kilobytes, first, on_kilobytes);
    features.on_grid = on_kilobytes;
  } else if (first % exims == 0 && enough(on_exims)) {
    features.block = exims;  // some ends may be hidden, but there is no other such buffer
    features.on_grid = on_exims;
  } else if (first >= kLeastOtherBlock && telling >= 2) {
    std::uint32_t hits = 0;
    for (const Cut& cut : features.cuts) {
      if (tells_writer(cut.place) && cut.run % first == 0) ++hits;
    }
    if (hits < 2 || hits < kMostOnGrid * telling) return;
    features.block = first;
    features.on_grid = hits;
  }
}

}  // namespace classifier
