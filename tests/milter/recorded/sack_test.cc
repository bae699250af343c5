#include "milter/recorded/sack.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using classifier::Span;
using recorded::read_sack;
using recorded::SackedRanges;

namespace {

using Options = std::vector<std::uint8_t>;

const Options kTimestamps = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};

Options block(std::uint32_t begin, std::uint32_t end) {
  Options out;
  for (const std::uint32_t value : {begin, end}) {
    for (const int shift : {24, 16, 8, 0}) out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
  return out;
}

Options operator+(Options one, const Options& other) {
  one.insert(one.end(), other.begin(), other.end());
  return one;
}

// "100-200 300-400"
std::string blocks_of(const Options& options) {
  const auto sack = read_sack(options);
  std::string all;
  for (std::size_t i = 0; i < sack.count; ++i) {
    if (i != 0) all += ' ';
    all += std::to_string(sack.blocks[i].begin) + '-' + std::to_string(sack.blocks[i].end);
  }
  return all;
}

}  // namespace

TEST_CASE("the blocks of a SACK option are read at any place among the options") {
  struct Row {
    const char* what;
    Options options;
    const char* blocks;
  };
  const Row rows[] = {
      {"alone", Options{1, 1, 5, 10} + block(100, 200), "100-200"},
      {"after timestamps", kTimestamps + Options{1, 1, 5, 18} + block(7, 9) + block(1, 2),
       "7-9 1-2"},
      {"after an unknown option", Options{253, 4, 0, 0, 5, 10} + block(3, 4), "3-4"},
      {"three blocks", kTimestamps + Options{1, 1, 5, 26} + block(5, 6) + block(3, 4) + block(1, 2),
       "5-6 3-4 1-2"},
      {"the highest numbers", Options{5, 10} + block(0xfffffff0, 16), "4294967280-16"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(read_sack(row.options).there);
    CHECK(blocks_of(row.options) == row.blocks);
  }
}

TEST_CASE("only the whole blocks of a malformed SACK option are read") {
  struct Row {
    const char* what;
    Options options;
    bool there;
    const char* blocks;
  };
  const Row rows[] = {
      {"no options", {}, false, ""},
      {"timestamps only", kTimestamps, false, ""},
      {"after the end of options", Options{0, 5, 10} + block(1, 2), false, ""},
      {"an option of length 0 before it", Options{8, 0, 5, 10} + block(1, 2), false, ""},
      {"an option of length 1 before it", Options{8, 1, 5, 10} + block(1, 2), false, ""},
      {"the kind and nothing else", {5}, true, ""},
      {"no block", {5, 2}, true, ""},
      {"a length that ends within a block", Options{5, 9} + block(1, 2), true, ""},
      {"options that were cut within a block", Options{5, 18} + block(1, 2) + Options{0, 0}, true,
       "1-2"},
      {"more blocks than there is room for",
       Options{5, 42} + block(1, 2) + block(3, 4) + block(5, 6) + block(7, 8) + block(9, 10), true,
       "1-2 3-4 5-6 7-8"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(read_sack(row.options).there == row.there);
    CHECK(blocks_of(row.options) == row.blocks);
  }
}

TEST_CASE("any options are read within their bounds") {
  rc::check([](const std::vector<std::uint8_t>& options) {
    RC_ASSERT(read_sack(options).count <= recorded::SackOption::kMostBlocks);
  });
}

TEST_CASE("ranges that touch or overlap become one, and a part of one is found") {
  SackedRanges ranges;
  CHECK(ranges.empty());
  ranges.add({100, 200});
  ranges.add({300, 400});
  ranges.add({500, 500});
  CHECK(ranges.first_in({0, 100}) == std::nullopt);
  CHECK(ranges.first_in({0, 150}) == Span{100, 150});
  CHECK(ranges.first_in({150, 1000}) == Span{150, 200});
  CHECK(ranges.first_in({200, 1000}) == Span{300, 400});
  CHECK(ranges.first_in({500, 1000}) == std::nullopt);
  ranges.add({200, 300});
  CHECK(ranges.first_in({0, 1000}) == Span{100, 400});
  ranges.add({50, 450});
  CHECK(ranges.first_in({0, 1000}) == Span{50, 450});
  ranges.drop_before(449);
  CHECK(ranges.first_in({0, 1000}) == Span{50, 450});
  ranges.drop_before(450);
  CHECK(ranges.empty());
}

TEST_CASE("nothing is found in an empty span, even inside a range") {
  SackedRanges ranges;
  ranges.add({100, 200});
  CHECK(ranges.first_in({150, 150}) == std::nullopt);
  CHECK(ranges.first_in({160, 150}) == std::nullopt);
}

TEST_CASE("the number of ranges is bounded") {
  SackedRanges ranges;
  for (std::uint64_t i = 0; i < SackedRanges::kMostRanges + 10; ++i) {
    ranges.add({i * 10, i * 10 + 5});
  }
  const std::uint64_t beyond = SackedRanges::kMostRanges * 10;
  CHECK(ranges.first_in({beyond - 10, beyond}) == Span{beyond - 10, beyond - 5});
  CHECK(ranges.first_in({beyond, beyond + 100}) == std::nullopt);
}
