// A search finds the rows that one finds who reads all rows, and reads few of them.
#include "milter/history/search.h"

#include <fmt/format.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "milter/history/history.h"
#include "milter/memory/database.h"
#include "milter/memory/forget.h"
#include "milter/memory/store.h"
#include "tests/support/selection.h"
#include "tests/support/sightings.h"

using history::History;
using history::Pairs;
using history::selection;
using memory::at_ms;
using memory::kNoon;
using memory::Sighting;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kHour = 3'600'000;
constexpr const char* kFile = "messages-20261127.db";

// The `i`th of many: few have a gait, an action or a network of their own, and the clock is wrong
// now and then.
Sighting drawn(std::mt19937& random, std::uint32_t i) {
  const auto client = random() % 50 == 0
                          ? fmt::format("[2001:db8:{:x}::{:x}]:25", random() % 20, random() % 9)
                          : fmt::format("{}.{}.{}.{}:25", 11 + random() % 3, random() % 200,
                                        random() % 4, random() % 3);
  auto sighting = memory::bot_sighting(kNoon - 12 * kHour + 10 * static_cast<std::int64_t>(i),
                                       client, fmt::format("4q{:x}", i));
  if (i % 1700 > 1600) sighting.time += std::chrono::seconds(30);
  if (i == 5) sighting.time -= std::chrono::hours(1);  // the day before
  if (i % 97 == 0)
    sighting.time -= sighting.time.time_since_epoch() % std::chrono::milliseconds(500);
  if (i % 999 == 7) {
    sighting.verdict.gait = "exim";
    sighting.verdict.pattern = classifier::Pattern::OfficialMta;
    sighting.decision = {.action = classifier::Action::Reject, .would = classifier::Action::Reject};
  }
  sighting.verdict.score = static_cast<double>(random() % 1000) / 100;
  if (i == 2321) sighting.verdict.score = 50;
  return sighting;
}

class Filled {
 public:
  // Of one day, unless the clock went over midnight.
  explicit Filled(std::uint32_t rows = 3300, config::Memory::Addresses addresses = {}) {
    settings.folder = mkdtemp(name_);
    settings.addresses = addresses;
    std::mt19937 random(20261127);
    memory::Store store(settings.folder);
    std::vector<Sighting> batch;
    for (std::uint32_t i = 1; i <= rows; ++i) {
      batch.push_back(drawn(random, i));
      if (batch.size() < 500 && i < rows) continue;
      REQUIRE(store.write(batch, memory::AddressForm(settings)).error.empty());
      batch.clear();
    }
  }
  ~Filled() { fs::remove_all(settings.folder); }

  std::string file() const { return settings.folder + "/" + kFile; }

  // The same rows, of which nothing is known.
  void lose_groups() const {
    for (const auto& entry : fs::directory_iterator(settings.folder)) {
      if (entry.path().extension() != ".db") continue;
      memory::Database database(entry.path(), memory::Database::Mode::Write);
      database.execute("DROP TABLE row_groups; DROP TABLE group_words");
    }
  }

  // How many rows a search for `pairs` reads.
  std::int64_t rows_read(const Pairs& pairs) const {
    const auto wanted = selection(pairs);
    const history::ClientCondition client(settings, wanted.client);
    history::OpenFile open({.day = memory::day_of(at_ms(kNoon)), .source = 0, .path = file()});
    auto condition = open.condition(wanted);
    client.add_to(condition);
    memory::Database database(file(), memory::Database::Mode::Read);
    auto count = database.prepare("SELECT count(*) FROM messages WHERE id BETWEEN ? AND ?");
    std::int64_t rows = 0;
    for (const auto& range : open.ranges(condition)) {
      count.bind(1, range.first);
      count.bind(2, range.last);
      REQUIRE(count.step());
      rows += count.integer(0);
      count.reset();
    }
    return rows;
  }

  config::Memory settings;

 private:
  char name_[32] = "/tmp/segmilter-search-XXXXXX";
};

std::vector<Pairs> questions() {
  std::vector<Pairs> all = {
      {},
      {{"gait", "exim"}},
      {{"gait", "!exim"}},
      {{"gait", "exim,unknown"}},
      {{"class", "!bot"}},
      {{"pattern", "official-mta"}},
      {{"pattern", "!bot-template"}},
      {{"action", "reject"}},
      {{"action", "!none"}},
      {{"would", "reject"}, {"gait", "exim"}},
      {{"min-score", "50"}},
      {{"min-score", "9.99"}},
      {{"max-score", "0"}},
      {{"from", "2026-11-27T00:00:30Z"}, {"to", "2026-11-27T00:00:31Z"}},
      {{"from", "2026-11-26"}, {"to", "2026-11-27T00:00:01Z"}},
      {{"queue-id", "4q8ae"}},
      {{"queue-id", "4q12,4q8ae,4qfff"}},
      {{"queue-id", "!4q12"}},
      {{"queue-id", "none"}},
      {{"queue-id", "4q12"}, {"gait", "exim"}},
      {{"client", "11.1.2.1"}},
      {{"client", "!11.1.2.1"}},
      {{"client", "11.1.2.0/24"}},
      {{"client", "11.1.2.0/31"}},
      {{"client", "11.1.0.0/16"}},
      {{"client", "11.0.0.0/15"}},
      {{"client", "11.0.0.0/8"}},
      {{"client", "!11.0.0.0/9"}},
      {{"client", "0.0.0.0/0"}},
      {{"client", "2001:db8:3::/48"}},
      {{"client", "2001:db8:3::4"}},
      {{"client", "2001:db8::/32"}},
      {{"client", "203.0.113.9"}},
      {{"client", "12.5.1.1"}, {"min-score", "5"}, {"from", "2026-11-27T00:00:10Z"}},
  };
  return all;
}

std::string name_of(const Pairs& pairs) {
  std::string name;
  for (const auto& [key, value] : pairs) name += fmt::format(" {}={}", key, value);
  return name;
}

// The places of the rows on the first pages, forward and then back again.
std::string paged(const config::Memory& settings, const Pairs& pairs, std::size_t rows) {
  History history(settings);
  std::string all;
  history::PageRequest request{.rows = rows};
  std::optional<history::Cursor> last;
  for (int i = 0; i < 4; ++i) {
    const auto page = history.page(selection(pairs), request);
    CHECK(page.problems.empty());
    for (const auto& row : page.rows) all += print(row.at) + " ";
    if (page.rows.empty()) break;
    last = page.rows.back().at;
    if (!page.before) break;
    request.before = page.before;
  }
  if (!last) return all;
  const auto back = history.page(selection(pairs), {.rows = rows, .before = {}, .after = last});
  all += "| ";
  for (const auto& row : back.rows) all += print(row.at) + " ";
  return all;
}

std::vector<std::string> answers(const config::Memory& settings) {
  std::vector<std::string> all;
  for (const auto& pairs : questions()) {
    const auto counts = History(settings).count(selection(pairs));
    all.push_back(fmt::format("{}: {} {} rows {} networks {} {}", name_of(pairs),
                              paged(settings, pairs, 7), paged(settings, pairs, 700),
                              counts.all().rows, counts.distinct_networks,
                              counts.last.time_since_epoch().count()));
  }
  return all;
}

void same_without_groups(const Filled& store) {
  const auto with = answers(store.settings);
  store.lose_groups();
  const auto without = answers(store.settings);
  REQUIRE(with.size() == without.size());
  for (std::size_t i = 0; i < with.size(); ++i) CHECK(with[i] == without[i]);
}

}  // namespace

TEST_CASE("a search finds what one finds who reads all rows") {
  same_without_groups(Filled());
}

TEST_CASE("also when rows have been forgotten, and others have their places") {
  const Filled store;
  CHECK(memory::forget(store.settings, "11.0.0.0/9").rows > 0);
  CHECK(memory::forget(store.settings, "2001:db8:3::/48").rows > 0);
  std::mt19937 random(7);
  std::vector<Sighting> more;
  for (std::uint32_t i = 0; i < 500; ++i) more.push_back(drawn(random, 20'000 + i));
  memory::Store again(store.settings.folder);
  REQUIRE(again.write(more, memory::AddressForm(store.settings)).error.empty());
  same_without_groups(store);
}

TEST_CASE("also when some groups are not known") {
  const Filled store;
  memory::Database(store.file(), memory::Database::Mode::Write)
      .execute("DELETE FROM row_groups WHERE id IN (0, 2)");
  same_without_groups(store);
}

TEST_CASE("also when another program has filled the table of groups with anything") {
  const char* const all[] = {
      "UPDATE row_groups SET networks = NULL, exact = NULL WHERE id = 1",
      "UPDATE row_groups SET networks = 'text', exact = zeroblob(4095) WHERE id = 1",
      "INSERT INTO row_groups (id) VALUES (-9223372036854775808), (9223372036854775807), "
      "(9007199254740992), (18014398509481984)",
      "ALTER TABLE row_groups RENAME TO once; CREATE TABLE row_groups AS SELECT * FROM once UNION "
      "ALL SELECT * FROM once UNION ALL SELECT 'text', 0, 0, 0, 0, NULL, NULL",
  };
  for (const char* const sql : all) {
    INFO(sql);
    const Filled store;
    memory::Database(store.file(), memory::Database::Mode::Write).execute(sql);
    same_without_groups(store);
  }
}

TEST_CASE("more groups than a day can have are not read") {
  const Filled store(10);
  memory::Database(store.file(), memory::Database::Mode::Write)
      .execute(
          "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 2 FROM n WHERE i < 3000000) "
          "INSERT INTO row_groups (id) SELECT i FROM n");
  const auto page = History(store.settings).page({}, {});
  REQUIRE(page.problems.size() == 1);
  CHECK_THAT(page.problems[0], Catch::Contains("has more than 1000000 groups of rows"));
}

TEST_CASE("rows without the key id are not read, because each id would be looked for in all rows") {
  const char* const keys[] = {"id INTEGER, time INTEGER", "id INTEGER, time INTEGER PRIMARY KEY",
                              "id TEXT PRIMARY KEY, time INTEGER",
                              "id INTEGER PRIMARY KEY DESC, time INTEGER",
                              "id INTEGER, time INTEGER, PRIMARY KEY (id, time)"};
  for (const char* const key : keys) {
    INFO(key);
    const Filled store(10);
    memory::Database(store.file(), memory::Database::Mode::Write)
        .execute(fmt::format("DROP TABLE messages; CREATE TABLE messages ({})", key));
    const auto page = History(store.settings).page({}, {});
    REQUIRE(page.problems.size() == 1);
    CHECK_THAT(page.problems[0], Catch::Contains("has no table of messages with the key id"));
  }
}

TEST_CASE("also when addresses are not stored, or are taken away") {
  same_without_groups(Filled(3300, config::Memory::Addresses::Truncated));
  const Filled store;
  memory::Store again(store.settings.folder);
  const auto later = memory::day_of(at_ms(kNoon)) + memory::kExactDays;
  for (int i = 0; i < 2; ++i) CHECK(again.truncate_some(1000, later));  // not all of them
  same_without_groups(store);
}

TEST_CASE("a page that is asked for while the last rows are forgotten and written has the others") {
  const Filled store(2000);
  std::atomic<bool> is_done = false;
  std::thread others([&store, &is_done] {
    memory::Store rows(store.settings.folder);
    for (std::uint32_t i = 3000; !is_done; ++i) {
      const std::vector<Sighting> some(20, memory::bot_sighting(kNoon + i, "99.1.1.1:25"));
      (void)rows.write(some, memory::AddressForm(store.settings));
      (void)memory::forget(store.settings, "99.1.1.1");
    }
  });
  History history(store.settings);
  for (int i = 0; i < 300; ++i) {
    const auto page = history.page({}, {.rows = 30});
    CHECK(page.rows.size() == 30);
    CHECK(page.before);
    for (const auto& row : history.page(selection({{"client", "99.1.1.1"}}), {}).rows) {
      CHECK(row.address == "99.1.1.1");
    }
  }
  is_done = true;
  others.join();
}

TEST_CASE("few rows are read for what few rows have") {
  const Filled store;
  const auto all = store.rows_read({});
  REQUIRE(all > 3200);
  // The rows in no group yet, and the group of each row that is found.
  const std::int64_t rest = 1024;
  CHECK(store.rows_read({{"queue-id", "4q8ae"}}) <= rest + 1024);
  CHECK(store.rows_read({{"client", "203.0.113.10"}}) <= rest);
  CHECK(store.rows_read({{"client", "203.0.113.0/24"}}) <= rest);
  CHECK(store.rows_read({{"client", "203.0.0.0/15"}}) <= rest);
  CHECK(store.rows_read({{"min-score", "50"}}) <= rest + 1024);
  CHECK(store.rows_read({{"from", "2026-11-27T00:00:05Z"}, {"to", "2026-11-27T00:00:06Z"}}) <=
        rest + 1024);
  CHECK(store.rows_read({{"queue-id", "!4q8ae"}}) == all);
}
