// The groups of rows as the store keeps them beside its rows.
#include "milter/memory/row_groups.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "milter/memory/bloom_filter.h"
#include "milter/memory/database.h"
#include "milter/memory/forget.h"
#include "milter/memory/store.h"
#include "tests/support/sightings.h"

using memory::BloomFilter;
using memory::Database;
using memory::kNoon;
using memory::numbered_sighting;
using memory::Sighting;
namespace fs = std::filesystem;

namespace {

class Filled {
 public:
  Filled() { settings.folder = mkdtemp(name_); }
  ~Filled() { fs::remove_all(settings.folder); }

  // The `first`th to the `last`th of many, in transactions as large as those of the memory process.
  void write(std::uint32_t first, std::uint32_t last) {
    std::vector<Sighting> batch;
    for (auto i = first; i <= last; ++i) {
      batch.push_back(numbered_sighting(i));
      if (batch.size() < 500 && i < last) continue;
      REQUIRE(store().write(batch, memory::AddressForm(settings)).rows == batch.size());
      batch.clear();
    }
  }
  memory::Store& store() { return store_ ? *store_ : store_.emplace(settings.folder); }

  std::string ask(const std::string& sql) const {
    Database database(file(), Database::Mode::Read);
    auto rows = database.prepare(sql);
    std::string all;
    while (rows.step()) all += (all.empty() ? "" : " ") + std::string(rows.text(0));
    return all;
  }
  // Of the filter of `group`; "nothing": it is NULL, or there is no such group.
  std::string may_have(const char* filter, std::int64_t group, std::string_view text) const {
    Database database(file(), Database::Mode::Read);
    auto row =
        database.prepare(fmt::format("SELECT {} FROM row_groups WHERE id = {}", filter, group));
    if (!row.step() || row.is_null(0)) return "nothing";
    return BloomFilter::may_have(row.text(0), text) ? "yes" : "no";
  }
  void execute(const std::string& sql) const {
    Database(file(), Database::Mode::Write).execute(sql);
  }
  std::string file() const { return settings.folder + "/messages-20261127.db"; }

  config::Memory settings;

 private:
  std::optional<memory::Store> store_;
  char name_[32] = "/tmp/segmilter-groups-XXXXXX";
};

}  // namespace

TEST_CASE("rows have a group by their id") {
  CHECK(memory::group_of(0) == 0);
  CHECK(memory::group_of(1023) == 0);
  CHECK(memory::group_of(1024) == 1);
  CHECK(memory::group_of(-1) == -1);
  CHECK(memory::first_row(1) == 1024);
  CHECK(memory::last_row(1) == 2047);
  CHECK(memory::first_row(-1) == -1024);
  CHECK(memory::last_row(memory::group_of(INT64_MAX)) == INT64_MAX);
  CHECK(memory::first_row(memory::group_of(INT64_MIN)) == INT64_MIN);
}

TEST_CASE("a group is added when its last row is written, and says what its rows have") {
  Filled filled;
  filled.write(1, 1022);
  CHECK(filled.ask("SELECT id FROM row_groups").empty());
  filled.write(1023, 1023);
  CHECK(filled.ask("SELECT id || ':' || oldest || ':' || newest FROM row_groups") ==
        fmt::format("0:{}:{}", kNoon + 1, kNoon + 1023));
  filled.write(1024, 3000);
  CHECK(filled.ask("SELECT id FROM row_groups") == "0 1");
  CHECK(filled.ask("SELECT oldest FROM row_groups WHERE id = 1") == std::to_string(kNoon + 1024));
  CHECK(filled.ask("SELECT DISTINCT lowest || '=' || highest FROM row_groups") ==
        filled.ask("SELECT DISTINCT score || '=' || score FROM messages"));
  CHECK(filled.ask("SELECT words.word FROM group_words JOIN words ON words.id = group_words.word "
                   "WHERE name = 'pattern' AND row_group = 1") == "bot-template");
  CHECK(filled.ask("SELECT word FROM group_words WHERE name = 'gait_class' AND row_group = 0") ==
        filled.ask("SELECT DISTINCT ifnull(gait_class, 0) FROM messages"));
  // Of the second group: the 1500th and not the 500th.
  CHECK(filled.may_have("exact", 1, "192.0.5.220") == "yes");
  CHECK(filled.may_have("exact", 1, "4q5dc") == "yes");
  CHECK(filled.may_have("networks", 1, "192.0.5.0/24") == "yes");
  CHECK(filled.may_have("networks", 1, "192.0.0.0/16") == "yes");
  CHECK(filled.may_have("exact", 1, "192.0.1.244") == "no");
  CHECK(filled.may_have("exact", 1, "4q1f4") == "no");
  CHECK(filled.may_have("networks", 1, "192.0.1.0/24") == "no");
  CHECK(filled.may_have("networks", 1, "192.1.0.0/16") == "no");
}

TEST_CASE("behind a program that did not know of groups, they are added bit by bit") {
  Filled filled;
  filled.write(1, 20'480);
  filled.execute("DELETE FROM row_groups");
  filled.write(20'481, 20'481);
  CHECK(filled.ask("SELECT count(*) || '' FROM row_groups") == "8");
  filled.write(20'482, 20'482);
  filled.write(20'483, 20'483);
  CHECK(filled.ask("SELECT count(*) || '' FROM row_groups") == "20");
}

TEST_CASE("a gap of any size between ids is no group") {
  Filled filled;
  filled.write(1, 1);
  filled.execute("UPDATE messages SET id = 9000000000000000000");
  filled.write(2, 1500);
  CHECK(filled.ask("SELECT id || ':' || oldest FROM row_groups") ==
        fmt::format("{}:{}", memory::group_of(9'000'000'000'000'000'000), kNoon + 1));
}

TEST_CASE("a group that no row can be in does not keep others from being added") {
  Filled filled;
  filled.write(1, 10);
  filled.execute("INSERT INTO row_groups (id) VALUES (9223372036854775807), (9007199254740992)");
  filled.write(11, 2500);
  CHECK(filled.ask("SELECT id FROM row_groups WHERE id < 100") == "0 1");
}

TEST_CASE("what was forgotten is in no filter") {
  Filled filled;
  filled.write(1, 3000);
  REQUIRE(filled.may_have("exact", 1, "192.0.5.220") == "yes");
  CHECK(memory::forget(filled.settings, "192.0.5.220").rows == 1);
  CHECK(filled.may_have("exact", 1, "192.0.5.220") == "no");
  CHECK(filled.may_have("exact", 1, "192.0.5.221") == "yes");
  CHECK(memory::forget(filled.settings, "192.0.5.0/24").rows == 255);
  CHECK(filled.may_have("networks", 1, "192.0.5.0/24") == "no");
  CHECK(filled.may_have("exact", 1, "192.0.5.221") == "no");
  CHECK(filled.may_have("networks", 1, "192.0.6.0/24") == "yes");
}

TEST_CASE("a group that lost its last row is made again with the row that takes its place") {
  Filled filled;
  filled.write(1, 1023);
  REQUIRE(filled.ask("SELECT id FROM row_groups") == "0");
  CHECK(memory::forget(filled.settings, "192.0.3.255").rows == 1);  // the 1023rd
  CHECK(filled.ask("SELECT id FROM row_groups").empty());
  filled.write(5000, 5000);
  CHECK(filled.ask("SELECT max(id) || '' FROM messages") == "1023");
  CHECK(filled.may_have("exact", 0, "192.0.19.136") == "yes");
  CHECK(filled.may_have("exact", 0, "192.0.3.255") == "no");
}

TEST_CASE("so is one that had lost it earlier, when the rows behind it go too") {
  Filled filled;
  filled.write(1, 3000);
  CHECK(memory::forget(filled.settings, "192.0.7.255").rows == 1);  // the 2047th
  CHECK(filled.ask("SELECT id FROM row_groups") == "0 1");
  CHECK(memory::forget(filled.settings, "192.0.8.0/22").rows == 953);  // the 2048th and so on
  CHECK(filled.ask("SELECT id FROM row_groups") == "0");
  filled.write(5000, 5000);
  CHECK(filled.ask("SELECT max(id) || '' FROM messages") == "2047");
  CHECK(filled.may_have("exact", 1, "192.0.19.136") == "yes");
}

TEST_CASE("a group without rows is removed") {
  Filled filled;
  filled.write(1, 3000);
  CHECK(memory::forget(filled.settings, "192.0.4.0/22").rows == 1024);
  CHECK(filled.ask("SELECT id FROM row_groups") == "0");
}

TEST_CASE("when rows lose their addresses, no filter has them") {
  Filled filled;
  filled.write(1, 3000);
  const memory::Day later = memory::day_of(memory::at_ms(kNoon)) + memory::kExactDays;
  CHECK(filled.store().truncate_some(1500, later));
  CHECK(filled.may_have("exact", 0, "192.0.0.7") == "nothing");
  CHECK(filled.may_have("exact", 1, "192.0.5.220") == "nothing");
  CHECK(filled.may_have("networks", 1, "192.0.5.0/24") == "yes");
}

TEST_CASE("a network is looked for by the texts that groups have of it") {
  struct Row {
    const char* who;
    std::vector<std::string> texts;
  };
  const Row rows[] = {
      {"192.0.2.7", {"192.0.2.0/24"}},
      {"192.0.2.128/25", {"192.0.2.0/24"}},
      {"192.0.2.0/24", {"192.0.2.0/24"}},
      {"192.0.2.0/23", {"192.0.0.0/16"}},
      {"192.0.0.0/16", {"192.0.0.0/16"}},
      {"192.254.0.0/15", {"192.254.0.0/16", "192.255.0.0/16"}},
      {"0.0.0.0/0", {}},
      {"128.0.0.0/8", {}},
      {"2001:db8:1::7", {"2001:db8:1::/48"}},
      {"2001:db8:1::/48", {"2001:db8:1::/48"}},
      {"2001:db8:8000::/33", {"2001:db8::/32"}},
      {"2001:db8::/32", {"2001:db8::/32"}},
      {"2001:db8::/31", {"2001:db8::/32", "2001:db9::/32"}},
      {"2000::/3", {}},
      {"::/0", {}},
      {"::/64", {}},  // all of IPv4 is in it
      {"::1", {"::/48"}},
  };
  for (const Row& row : rows) {
    INFO(row.who);
    const auto network = net::Network::parse(row.who);
    REQUIRE(network);
    CHECK(memory::filed_networks(*network) == row.texts);
  }
  const auto many = memory::filed_networks(*net::Network::parse("10.128.0.0/9"));
  REQUIRE(many.size() == 128);
  CHECK(many.front() == "10.128.0.0/16");
  CHECK(many.back() == "10.255.0.0/16");
}
