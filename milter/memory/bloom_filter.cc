#include "milter/memory/bloom_filter.h"

#include <xxhash.h>

#include <array>
#include <cstdint>

namespace memory {
namespace {

constexpr int kBitsOfText = 4;
constexpr int kBitsOfPlace = 15;
static_assert(BloomFilter::kBytes * 8 == 1U << kBitsOfPlace);
static_assert(kBitsOfText * kBitsOfPlace <= 64);

// The bits of a text: four pieces of its hash.
std::array<std::size_t, kBitsOfText> places(std::string_view text) {
  auto hash = std::uint64_t{XXH3_64bits(text.data(), text.size())};
  std::array<std::size_t, kBitsOfText> all{};
  for (auto& place : all) {
    place = hash & ((1U << kBitsOfPlace) - 1);
    hash >>= kBitsOfPlace;
  }
  return all;
}

unsigned mask(std::size_t place) {
  return 1U << (place % 8);
}

}  // namespace

void BloomFilter::add(std::string_view text) {
  for (const auto place : places(text)) {
    auto& byte = bytes_[place / 8];
    byte = static_cast<char>(static_cast<unsigned char>(byte) | mask(place));
  }
}

bool BloomFilter::may_have(std::string_view bytes, std::string_view text) {
  if (bytes.size() != kBytes) return true;
  for (const auto place : places(text)) {
    if ((static_cast<unsigned char>(bytes[place / 8]) & mask(place)) == 0) return false;
  }
  return true;
}

}  // namespace memory
