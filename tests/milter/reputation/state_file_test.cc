#include "milter/reputation/state_file.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/support/table_file.h"

using namespace reputation;

namespace {

struct Folder {
  Folder() { REQUIRE(mkdtemp(name) != nullptr); }
  ~Folder() { std::filesystem::remove_all(name); }
  std::string file() const { return std::string(name) + "/" + std::string(kStateFile); }
  char name[40] = "/tmp/segmilter-state-XXXXXX";
};

Entry entry_of(std::uint64_t value, float total = 2) {
  return {.key = {Kind::Network, true, value},
          .first = on_day(0),
          .last = on_day(0),
          .spam = total / 2,
          .total = total,
          .seen = 9};
}

void save(const std::string& file, const TableWriter& table, Time now = on_day(0)) {
  StateWriter writer(file, table, 5);
  std::size_t steps = 1;
  while (!writer.step(now)) ++steps;
  CHECK(steps == StateWriter::kSteps);
}

std::string bytes_of(const std::string& file) {
  std::ostringstream bytes;
  bytes << std::ifstream(file).rdbuf();
  return bytes.str();
}

}  // namespace

TEST_CASE("a table comes back from its file") {
  const Folder folder;
  TableFile table;
  for (std::uint64_t i = 0; i < 10'000; ++i) (void)table.writer.put(entry_of(i), on_day(0));
  save(folder.file(), table.writer);
  CHECK_FALSE(std::filesystem::exists(folder.file() + ".new"));
  TableFile other;
  CHECK(load_state(folder.file(), other.writer, 5, on_day(1)) == StateFound::Whole);
  CHECK(other.writer.entries() == table.writer.entries());
  CHECK(other.writer.find({Kind::Network, true, 77}) == entry_of(77));
}

TEST_CASE("entries that have faded are not written") {
  const Folder folder;
  TableFile table;
  (void)table.writer.put(entry_of(1, 20'000), on_day(0));
  auto later = entry_of(2);
  later.last = on_day(1);
  (void)table.writer.put(later, on_day(1));
  save(folder.file(), table.writer, on_day(71));  // 5 times 14 days, and one more
  TableFile other;
  CHECK(load_state(folder.file(), other.writer, 5, on_day(71)) == StateFound::Whole);
  CHECK(other.writer.entries() == 1);
  CHECK(other.writer.find(later.key));
}

TEST_CASE("entries from the future count as of now") {
  const Folder folder;
  TableFile table;
  (void)table.writer.put(entry_of(1), on_day(0));
  save(folder.file(), table.writer);
  TableFile other;
  (void)load_state(folder.file(), other.writer, 5, on_day(-30));
  CHECK(other.writer.find({Kind::Network, true, 1})->last == on_day(-30));
}

TEST_CASE("a missing file, one with another key and a damaged one are told apart") {
  const Folder folder;
  TableFile table;
  for (std::uint64_t i = 0; i < 2000; ++i) (void)table.writer.put(entry_of(i), on_day(0));
  TableFile other;
  CHECK(load_state(folder.file(), other.writer, 5, on_day(0)) == StateFound::None);
  save(folder.file(), table.writer);
  CHECK(load_state(folder.file(), other.writer, 6, on_day(0)) == StateFound::OtherKeys);
  const auto sound = bytes_of(folder.file());
  std::size_t taken = 0;
  const auto take = [&taken](const Entry&) { ++taken; };
  for (std::size_t size = 0; size < sound.size(); size += 1 + size / 50) {
    REQUIRE(parse_state({sound.data(), size}, 5, take) == StateFound::Damaged);
  }
  for (std::size_t at = 16; at < sound.size(); at += 1 + at / 50) {
    auto damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ 4);
    REQUIRE(parse_state(damaged, 5, take) == StateFound::Damaged);
  }
  CHECK(parse_state(sound + "x", 5, take) == StateFound::Damaged);
  CHECK(parse_state("", 5, take) == StateFound::Damaged);
  CHECK(taken == 0);
  CHECK(parse_state(sound, 5, take) == StateFound::Whole);
  CHECK(taken > 1990);
}

TEST_CASE("a file that is not finished leaves the old one") {
  const Folder folder;
  TableFile table;
  (void)table.writer.put(entry_of(1), on_day(0));
  save(folder.file(), table.writer);
  const auto before = bytes_of(folder.file());
  {
    StateWriter writer(folder.file(), table.writer, 5);
    (void)writer.step(on_day(0));
  }
  CHECK(bytes_of(folder.file()) == before);
  CHECK_FALSE(std::filesystem::exists(folder.file() + ".new"));
  CHECK_THROWS_AS(StateWriter("/nowhere/x", table.writer, 5), std::system_error);
}
