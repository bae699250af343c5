// The file of the table of reputations. Whatever it is, it gives all of its entries or none, and
// each of them has numbers with which one can calculate.
#include "milter/reputation/state_file.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "milter/net/keyed_hash.h"
#include "tests/fuzz/fuzz_input.h"

using fuzz::require;

namespace {

void check(std::string_view bytes) {
  std::size_t entries = 0;
  const auto found = reputation::parse_state(bytes, 0, [&](const reputation::Entry& entry) {
    ++entries;
    const auto sums = entry.sums(entry.last + std::chrono::hours(24));
    require(std::isfinite(sums.total) && sums.total >= 0);
    require(std::isfinite(entry.worth(entry.last)));
    require(reputation::from_words(reputation::to_words(entry)) == entry);
  });
  require(found == reputation::StateFound::Whole || entries == 0);
  require(entries * sizeof(reputation::Words) <= bytes.size());
}

// A whole file with these bytes as its one block, since a fuzzer does not guess checksums.
std::string file_of(std::string_view block) {
  block = block.substr(0, block.size() / sizeof(reputation::Words) * sizeof(reputation::Words));
  std::string file;
  const auto add = [&file](std::uint64_t number) {
    file.append(reinterpret_cast<const char*>(&number), sizeof number);
  };
  const auto sum_of = [](std::string_view bytes) {
    std::uint64_t sum = bytes.size();
    for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes.data(), 8);
      sum = net::mix(sum, word);
    }
    return sum;
  };
  add(0x736d'7265'7073'0001U);
  add(0);
  if (!block.empty()) {
    add(block.size() / sizeof(reputation::Words));
    file += block;
    add(sum_of(block));
  }
  add(0);
  add(sum_of({}));
  return file;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  check(bytes);
  const auto file = file_of(bytes);
  check(file);
  require(reputation::parse_state(file, 0, [](const auto&) {}) == reputation::StateFound::Whole);
  return 0;
}
