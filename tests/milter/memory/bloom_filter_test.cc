#include "milter/memory/bloom_filter.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <string>

using memory::BloomFilter;

namespace {

std::string address(unsigned i) {
  return fmt::format("192.{}.{}.{}", i >> 16 & 255, i >> 8 & 255, i & 255);
}

BloomFilter filled(unsigned texts) {
  BloomFilter filter;
  for (unsigned i = 0; i < texts; ++i) filter.add(address(i));
  return filter;
}

}  // namespace

TEST_CASE("a text that was added is always found") {
  const auto filter = filled(2048);
  for (unsigned i = 0; i < 2048; ++i) REQUIRE(BloomFilter::may_have(filter.bytes(), address(i)));
}

TEST_CASE("of other texts one in some hundreds is taken for one that was added") {
  const auto filter = filled(2048);
  unsigned taken = 0;
  for (unsigned i = 2048; i < 102'048; ++i)
    taken += BloomFilter::may_have(filter.bytes(), address(i));
  CHECK(taken > 100);  // (1 - e^(-4/16))^4 is 0.24 %
  CHECK(taken < 400);
}

TEST_CASE("an empty filter has nothing, and the empty text is a text") {
  BloomFilter filter;
  CHECK_FALSE(BloomFilter::may_have(filter.bytes(), ""));
  CHECK_FALSE(BloomFilter::may_have(filter.bytes(), "192.0.2.7"));
  filter.add("");
  CHECK(BloomFilter::may_have(filter.bytes(), ""));
  CHECK_FALSE(BloomFilter::may_have(filter.bytes(), "192.0.2.7"));
}

TEST_CASE("bytes that are no filter may have every text") {
  const auto filter = filled(1);
  const std::string bytes(filter.bytes());
  for (const auto& other : {std::string(), bytes.substr(1), bytes + '\0', std::string("text")}) {
    CHECK(BloomFilter::may_have(other, "203.0.113.1"));
  }
  CHECK_FALSE(BloomFilter::may_have(bytes, "203.0.113.1"));
}

TEST_CASE("the bytes are the same in each version, because files keep them") {
  BloomFilter filter;
  filter.add("192.0.2.7");
  std::string places;
  for (std::size_t i = 0; i < BloomFilter::kBytes; ++i) {
    if (filter.bytes()[i] != 0)
      places += fmt::format(" {}:{:02x}", i, static_cast<unsigned char>(filter.bytes()[i]));
  }
  CHECK(places == " 740:80 920:01 2279:20 2708:20");  // as xxhsum -H3 has it
}
