#include "classifier/buffers.h"

#include <numeric>

namespace classifier {
namespace {

// A buffer of another size is used only if it repeats and is too long for a line or a short header.
constexpr std::uint32_t kLeastOtherBlock = 512;
// At least this share of all cuts must lie on the grid, if the first one does and no landmark
// explains it. Chance puts a cut there once in some 800 bytes, but the path may have made the
// others.
constexpr double kLeastOnGrid = 0.33;
constexpr double kMostOnGrid = 0.6;  // the share for a size that no usual buffer has

// The greatest common divisor of the cuts on the grid may be a multiple of the buffer's size,
// because ends between them may be hidden. It is used as it is if the first ends are all there
// (10240, 20480: a buffer of 10240). Else its odd factor is removed, since nearly all buffers are
// powers of two (a single end at 12288: 4096).
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
    features.block = exims;  // some ends may be hidden, but no other buffer has such ends
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
