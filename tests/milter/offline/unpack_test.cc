#include "milter/offline/unpack.h"

#include <catch2/catch.hpp>

#include <array>
#include <stdexcept>
#include <string>

#include "tests/support/capture_builder.h"
#include "tests/support/packed.h"

namespace {

using namespace offline;
using namespace support;

std::string all(const std::string& packed, std::size_t at_once = 1 << 20) {
  const ReadBytes read = unpack(packing_of(packed), read_from(packed, at_once));
  std::string out;
  std::array<char, 5000> buffer;
  while (const std::size_t got = read(buffer)) out.append(buffer.data(), got);
  return out;
}

std::string text() {
  std::string out;
  for (int i = 0; i < 50000; ++i) out += std::to_string(i * 7919);
  return out;
}

}  // namespace

TEST_CASE("gzip, zstd and xz are unpacked, whatever pieces they come in") {
  const std::string packed = GENERATE(gzip(text()), zstd(text()), xz(text()));
  CHECK(packing_of(packed) != Packing::None);
  CHECK(all(packed) == text());
  CHECK(all(packed, 1) == text());
  CHECK(all(packed + packed) == text() + text());
}

TEST_CASE("a truncated or damaged file gives the bytes before the damage, and then an error") {
  const std::string packed = GENERATE(gzip(text()), zstd(text()), xz(text()));
  std::string out;
  const auto read_all = [&](const std::string& bytes) {
    const ReadBytes read = unpack(packing_of(bytes), read_from(bytes));
    std::array<char, 5000> buffer;
    while (const std::size_t got = read(buffer)) out.append(buffer.data(), got);
  };
  CHECK_THROWS_WITH(read_all(packed.substr(0, packed.size() - 9)), Catch::Contains("truncated"));
  CHECK(!out.empty());
  CHECK(text().substr(0, out.size()) == out);
  std::string damaged = packed;
  for (std::size_t i = damaged.size() / 2; i < damaged.size() / 2 + 40; ++i) damaged[i] ^= 0x55;
  CHECK_THROWS_AS(read_all(damaged), std::runtime_error);
}

TEST_CASE("a window of more than 64 MB is refused") {
  std::string packed("\x28\xb5\x2f\xfd\0\xa0", 6);  // a window of 1 GB
  CHECK_THROWS_AS(all(packed + std::string(20, '\0')), std::runtime_error);
}

TEST_CASE("other files are not compressed") {
  CHECK(packing_of("") == Packing::None);
  CHECK(packing_of("\x1f") == Packing::None);
  CHECK(packing_of("segmilter/1") == Packing::None);
}
