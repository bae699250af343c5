#include "milter/offline/unpack.h"

#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <catch2/catch.hpp>

#include <array>
#include <stdexcept>
#include <string>

#include "tests/support/capture_builder.h"

namespace {

using namespace offline;

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

std::string xz(const std::string& text) {
  std::string out(lzma_stream_buffer_bound(text.size()), '\0');
  std::size_t size = 0;
  lzma_easy_buffer_encode(6, LZMA_CHECK_CRC64, nullptr,
                          reinterpret_cast<const std::uint8_t*>(text.data()), text.size(),
                          reinterpret_cast<std::uint8_t*>(out.data()), &size, out.size());
  out.resize(size);
  return out;
}

std::string all(const std::string& packed, std::size_t at_once = 1 << 20) {
  const ReadBytes read = unpack(packing_of(packed), support::read_from(packed, at_once));
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

TEST_CASE("gzip, zstd and xz give what was packed, in whatever pieces it comes") {
  const std::string packed = GENERATE(gzip(text()), zstd(text()), xz(text()));
  CHECK(packing_of(packed) != Packing::None);
  CHECK(all(packed) == text());
  CHECK(all(packed, 1) == text());
  CHECK(all(packed + packed) == text() + text());
}

TEST_CASE("what is cut or damaged gives what was there, and then an error") {
  const std::string packed = GENERATE(gzip(text()), zstd(text()), xz(text()));
  std::string out;
  const auto read_all = [&](const std::string& bytes) {
    const ReadBytes read = unpack(packing_of(bytes), support::read_from(bytes));
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

TEST_CASE("what wants to look back further than 64 MB is refused") {
  std::string packed("\x28\xb5\x2f\xfd\0\xa0", 6);  // a window of 1 GB
  CHECK_THROWS_AS(all(packed + std::string(20, '\0')), std::runtime_error);
}

TEST_CASE("other files are not packed") {
  CHECK(packing_of("") == Packing::None);
  CHECK(packing_of("\x1f") == Packing::None);
  CHECK(packing_of("segmilter/1") == Packing::None);
}
