// History on stores that the writer has made, and on damaged ones.
#include "milter/history/history.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/memory/database.h"
#include "milter/memory/forget.h"
#include "milter/memory/store.h"
#include "tests/support/selection.h"
#include "tests/support/sightings.h"

using history::Counts;
using history::History;
using history::Page;
using history::selection;
using memory::at_ms;
using memory::bot_sighting;
using memory::kNoon;
using memory::Sighting;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kHour = 3'600'000;
constexpr std::int64_t kDay = 24 * kHour;

Sighting with_label(Sighting sighting, classifier::Pattern pattern, const char* gait = "unknown",
                    classifier::Action would = classifier::Action::None) {
  sighting.verdict.pattern = pattern;
  sighting.verdict.gait = gait;
  sighting.decision = {.would = would,
                       .held = would == classifier::Action::None ? policy::HeldBackBy::None
                                                                 : policy::HeldBackBy::Monitor};
  return sighting;
}

class Filled {
 public:
  explicit Filled(std::vector<Sighting> sightings = {}) {
    settings.folder = mkdtemp(name_);
    write(sightings);
  }
  ~Filled() { fs::remove_all(settings.folder); }

  void write(const std::vector<Sighting>& sightings) {
    memory::Store store(settings.folder);
    const auto written = store.write(sightings, memory::AddressForm(settings));
    REQUIRE(written.error == "");
    REQUIRE(written.rows == sightings.size());
  }

  std::string file(const char* name = "messages-20261127.db") const {
    return settings.folder + "/" + name;
  }
  void execute(const std::string& sql, const char* name = "messages-20261127.db") const {
    memory::Database(file(name), memory::Database::Mode::Write).execute(sql);
  }

  Page page(const history::Pairs& pairs = {}, const history::PageRequest& request = {}) const {
    return History(settings).page(selection(pairs), request);
  }
  Counts count(const history::Pairs& pairs = {}) const {
    return History(settings).count(selection(pairs));
  }
  // The queue ids of the selected messages, newest first.
  std::string ids(const history::Pairs& pairs) const {
    std::string all;
    for (const auto& row : page(pairs).rows) all += (all.empty() ? "" : " ") + row.queue_id;
    return all;
  }

  config::Memory settings;

 private:
  char name_[32] = "/tmp/segmilter-history-XXXXXX";
};

std::vector<Sighting> mixed() {
  using classifier::Action;
  using classifier::Pattern;
  return {
      with_label(bot_sighting(kNoon - kDay, "198.51.100.1:1", "A"), Pattern::OfficialMta,
                 "postfix"),
      with_label(bot_sighting(kNoon - kHour, "192.0.2.7:1", "B"), Pattern::BotTemplate, "unknown",
                 Action::Reject),
      with_label(bot_sighting(kNoon, "192.0.2.8:2", "C"), Pattern::Mobile, "unknown",
                 Action::Quarantine),
      with_label(bot_sighting(kNoon, "[2001:db8:1::7]:3", "D"), Pattern::OfficialMta, "exim"),
  };
}

}  // namespace

TEST_CASE("a row has all that was remembered of its message") {
  const Filled store({bot_sighting()});
  const auto page = store.page({}, {.rows = 50, .before = {}, .traces = true});
  REQUIRE(page.rows.size() == 1);
  CHECK(page.problems.empty());
  CHECK_FALSE(page.before);
  const auto& row = page.rows.front();
  const auto sighting = bot_sighting();
  CHECK(row.time() == at_ms(kNoon));
  CHECK(row.queue_id == "4abcDEF");
  CHECK(row.address == "192.0.2.7");
  CHECK(row.port == 40112);
  CHECK(row.network == "192.0.2.0/24");
  CHECK(row.helo == memory::HeloShape{.dotless = true});
  CHECK(row.score == sighting.verdict.score);
  CHECK(row.confidence == sighting.verdict.confidence);
  CHECK(row.size == sighting.trace.size);
  CHECK(row.mss == 1440);
  CHECK(row.pattern == "bot-template");
  CHECK(row.writer == "template");
  CHECK(row.path == "full");
  CHECK(row.gait == sighting.verdict.gait);
  CHECK(row.listener == "mx");
  CHECK(row.would == "tempfail");
  CHECK(row.action == "none");
  CHECK(row.held == "monitor");
  CHECK(row.basis == "evidence");
  CHECK(row.via == "kernel");
  CHECK(row.state == "complete");
  CHECK(row.syn == sighting.trace.path.syn);
  CHECK(row.weight == 1);
  CHECK(row.terms.find("bot-template:+") == 0);
  CHECK(row.trace == classifier::print(sighting.trace));
  CHECK(store.page().rows.front().trace.empty());
}

TEST_CASE("messages are selected by each key") {
  const Filled store(mixed());
  struct Row {
    history::Pairs pairs;
    const char* ids;
  };
  const Row rows[] = {
      {{}, "D C B A"},
      {{{"pattern", "official-mta"}}, "D A"},
      {{{"pattern", "!official-mta"}}, "C B"},
      {{{"pattern", "mobile,bot-template"}}, "C B"},
      {{{"pattern", "noisy"}}, ""},
      {{{"pattern", "!noisy"}}, "D C B A"},
      {{{"gait", "exim"}}, "D"},
      {{{"would", "!none"}}, "C B"},
      {{{"would", "reject"}, {"pattern", "bot-template"}}, "B"},
      {{{"action", "none"}}, "D C B A"},
      {{{"held", "monitor"}}, "C B"},
      {{{"writer", "template"}}, "D C B A"},
      {{{"path", "!full"}}, ""},
      {{{"listener", "mx"}}, "D C B A"},
      {{{"listener", "other"}}, ""},
      {{{"queue-id", "C,A"}}, "C A"},
      {{{"queue-id", "!C"}}, "D B A"},
      {{{"min-score", "100"}}, ""},
      {{{"max-score", "100"}}, "D C B A"},
      {{{"from", "2026-11-27"}}, "D C B"},
      {{{"to", "2026-11-27T12:00:00Z"}}, "B A"},
      {{{"since", "1h"}}, "D C B"},
      {{{"client", "192.0.2.7"}}, "B"},
      {{{"client", "!192.0.2.7"}}, "D C A"},
      {{{"client", "192.0.2.0/24"}}, "C B"},
      {{{"client", "!192.0.2.0/24"}}, "D A"},
      {{{"client", "192.0.0.0/16"}}, "C B"},
      {{{"client", "192.0.2.8/29"}}, "C"},
      {{{"client", "!192.0.2.8/29"}}, "D B A"},
      {{{"client", "2001:db8:1::/48"}}, "D"},
      {{{"client", "2000::/7"}}, "D"},
      {{{"client", "2001::/16"}}, "D"},
      {{{"client", "::/0"}}, "D C B A"},
      {{{"client", "192.0.0.0/9"}}, "C B"},
      {{{"client", "192.0.0.0/22"}}, "C B"},
      {{{"client", "192.0.2.7/32"}}, "B"},
      {{{"client", "128.0.0.0/1"}}, "C B A"},
      {{{"client", "2001:db8::/32"}}, "D"},
      {{{"client", "2001:db8:1::7"}}, "D"},
  };
  for (const Row& row : rows) {
    INFO((row.pairs.empty() ? "all" : row.pairs[0].key + "=" + row.pairs[0].value));
    CHECK(store.ids(row.pairs) == row.ids);
    CHECK(store.count(row.pairs).all().messages ==
          static_cast<std::uint64_t>(std::count_if(row.ids, row.ids + std::string(row.ids).size(),
                                                   [](char c) { return c != ' '; })));
  }
}

TEST_CASE("pages join without a gap, whatever the times are") {
  std::vector<Sighting> many;
  for (int i = 0; i < 60; ++i) {
    // Three messages in each millisecond, over two days, and not in the order of the time.
    many.push_back(bot_sighting(kNoon - kDay / 2 + (i % 20) * (kDay / 20), "192.0.2.7:1",
                                "Q" + std::to_string(i)));
  }
  const Filled store(many);
  const auto whole = store.page({}, {.rows = 100}).rows;
  REQUIRE(whole.size() == 60);
  CHECK(std::is_sorted(whole.begin(), whole.end(),
                       [](const auto& a, const auto& b) { return b.at < a.at; }));
  std::vector<std::string> paged;
  std::optional<history::Cursor> before;
  do {
    const auto page = store.page({}, {.rows = 7, .before = before});
    for (const auto& row : page.rows) paged.push_back(row.queue_id);
    before = page.before ? history::parse_cursor(print(*page.before)) : std::nullopt;
    CHECK(before == page.before);
  } while (before);
  REQUIRE(paged.size() == 60);
  for (std::size_t i = 0; i < 60; ++i) CHECK(paged[i] == whole[i].queue_id);
}

TEST_CASE("a day that two versions have written is one day") {
  Filled store(
      {bot_sighting(kNoon, "192.0.2.7:1", "old"), bot_sighting(kNoon, "192.0.2.7:1", "old2")});
  fs::rename(store.file(), store.file("messages-20261127-schema1.db"));
  store.write(
      {bot_sighting(kNoon, "192.0.2.7:1", "new"), bot_sighting(kNoon - 1, "192.0.2.7:1", "new0")});
  CHECK(store.ids({}) == "old2 old new new0");
  std::string paged;
  std::optional<history::Cursor> before;
  do {
    const auto page = store.page({}, {.rows = 1, .before = before});
    paged += page.rows.front().queue_id + " ";
    before = page.before;
  } while (before);
  CHECK(paged == "old2 old new new0 ");
  CHECK(store.count().all().messages == 4);
}

TEST_CASE("a word that is no cursor is refused") {
  for (const char* wrong :
       {"", "-", "1-2", "1-2-", "a-0-1", "1-0-1-1", "-1-0-1", "1-0--1", "18446744073709551615-0-1",
        "9223372036854775807-0-1", "1-65536-1", "1-0-9223372036854775808"}) {
    INFO(wrong);
    CHECK_FALSE(history::parse_cursor(wrong));
  }
  CHECK(history::parse_cursor("1795780800000-0-17")->id == 17);
}

TEST_CASE("messages are counted by time, label and network") {
  const Filled store(mixed());
  const auto counts = store.count();
  CHECK(counts.all().messages == 4);
  CHECK(counts.problems.empty());
  const auto patterns = counts.by(&history::Labels::pattern);
  REQUIRE(patterns.size() == 3);
  CHECK(patterns[0].first == "official-mta");
  CHECK(patterns[0].second.messages == 2);
  REQUIRE(counts.cells.size() == 4);
  CHECK(counts.cells[0].begin == at_ms(kNoon - kDay));
  CHECK(counts.cells[0].labels.gait == "postfix");
  CHECK(counts.cells[1].begin == at_ms(kNoon - kHour));
  CHECK(counts.cells[1].labels.would == "reject");
  CHECK(counts.distinct_networks == 3);
  REQUIRE(counts.networks.size() == 3);
  CHECK(counts.networks[0].network == "192.0.2.0/24");
  CHECK(counts.networks[0].messages == 2);
  CHECK(counts.networks[0].would_refuse == 1);  // on hold is not refused
  CHECK(counts.networks[0].first == at_ms(kNoon - kHour));
  CHECK(counts.networks[0].last == at_ms(kNoon));
  const auto index = static_cast<std::size_t>(classifier::Pattern::OfficialMta);
  CHECK(counts.networks_of_pattern[index] == 2);
  CHECK(counts.first == at_ms(kNoon - kDay));
  CHECK(counts.last == at_ms(kNoon));
}

TEST_CASE("bins are as wide as was asked for") {
  const Filled store(
      {bot_sighting(kNoon), bot_sighting(kNoon + 14 * 60'000), bot_sighting(kNoon + 15 * 60'000)});
  const auto counts =
      History(store.settings).count({}, {.bin = std::chrono::minutes(15), .networks = 1});
  REQUIRE(counts.cells.size() == 2);
  CHECK(counts.cells[0].count.messages == 2);
  CHECK(counts.cells[1].begin == at_ms(kNoon + 15 * 60'000));
}

TEST_CASE("the reason is told of what was not observed") {
  auto lost = bot_sighting();
  lost.trace = classifier::unobserved(classifier::Reason::Timeout, 1);
  lost.verdict = classifier::classify(lost.trace, {});
  auto partial = bot_sighting();
  partial.trace.reason = classifier::Reason::Dropped;
  const Filled store({lost, partial});
  const auto reasons = store.count().by(&history::Labels::reason);
  REQUIRE(reasons.size() == 2);
  CHECK((reasons[0].first + reasons[1].first) == "timeout");
}

TEST_CASE("a row of a sample counts as often as it stands for") {
  const Filled store({bot_sighting(kNoon), bot_sighting(kNoon)});
  auto columns = memory::Database(store.file(), memory::Database::Mode::Read);
  auto has =
      columns.prepare("SELECT count(*) FROM pragma_table_info('messages') WHERE name = 'weight'");
  REQUIRE(has.step());
  if (has.integer(0) == 0)
    store.execute("ALTER TABLE messages ADD COLUMN weight INTEGER DEFAULT 1");
  store.execute("UPDATE messages SET weight = 50 WHERE id = 1");
  const auto counts = store.count();
  CHECK(counts.all().messages == 51);
  CHECK(counts.all().rows == 2);
  CHECK(counts.networks.front().messages == 51);
  CHECK(store.page().rows[1].weight == 50);
}

TEST_CASE("days of which only the totals are left are counted by pattern, gait and action") {
  Filled store(mixed());
  memory::keep_hours({{(kNoon - 5 * kDay) / kHour, "relay", "unknown", "none", 7},
                      {(kNoon - 5 * kDay) / kHour, "mobile", "unknown", "none", 2},
                      {(kNoon - kHour) / kHour, "mobile", "unknown", "none", 100}},
                     store.file(std::string(memory::kTotalsFile).c_str()));
  CHECK(store.count().all().messages == 13);
  CHECK(store.count({{"pattern", "relay"}}).all().messages == 7);
  CHECK(store.count({{"pattern", "!relay"}}).all().messages == 6);
  CHECK(store.count({{"from", "2026-11-23"}}).all().messages == 4);
  CHECK_FALSE(store.count().totals_left_out);
  const auto selected = store.count({{"would", "none"}});
  CHECK(selected.all().messages == 2);
  CHECK(selected.totals_left_out);
  std::string days;
  for (const auto& day : store.count().days)
    days += "-TR"[day.from == history::DayCount::From::Nothing  ? 0
                  : day.from == history::DayCount::From::Totals ? 1
                                                                : 2];
  CHECK(days == "T---RR");
}

TEST_CASE("a row that lost its address is found by its network") {
  Filled store({bot_sighting(kNoon - 5 * kDay), bot_sighting()});
  memory::Store writer(store.settings.folder);
  while (writer.truncate_some(1000, memory::day_of(at_ms(kNoon)))) {
  }
  CHECK(store.page({{"client", "192.0.2.7"}}).rows.size() == 1);
  CHECK(store.page({{"client", "192.0.2.0/24"}}).rows.size() == 2);
  CHECK(store.page({{"client", "192.0.0.0/16"}}).rows.size() == 2);
  CHECK(store.page({{"queue-id", "4abcDEF"}}).rows.size() == 1);
  CHECK(store.page({{"queue-id", "!4abcDEF"}}).rows.size() == 1);
  CHECK(store.page({{"client", "!192.0.2.7"}}).rows.size() == 1);
  CHECK_FALSE(store.page().rows[1].port);
}

TEST_CASE("keyed addresses are found by the address, its network, and their form in the store") {
  Filled store;
  store.write({bot_sighting(kNoon, "192.0.2.7:1", "before")});
  store.settings.key_file = store.file("key");
  std::ofstream(store.settings.key_file) << "k1:" << std::string(64, 'a') << '\n';
  fs::permissions(store.settings.key_file, fs::perms::owner_read);
  store.settings.addresses = config::Memory::Addresses::Keyed;
  store.write({bot_sighting(kNoon + 1, "192.0.2.7:1", "keyed"),
               bot_sighting(kNoon, "192.0.2.8:1", "other")});
  CHECK(store.ids({{"client", "192.0.2.7"}}) == "keyed before");
  CHECK(store.ids({{"client", "192.0.2.0/24"}}) == "keyed other before");
  const auto row = store.page({{"queue-id", "keyed"}}).rows.front();
  CHECK(row.address.size() == 16);
  CHECK(store.ids({{"client", row.address}}) == "keyed");
  CHECK(store.ids({{"client", "!" + row.network}}) == "before");
  CHECK_THROWS_WITH(store.page({{"client", "192.0.0.0/16"}}), Catch::Contains("192.0.0.0/24"));
  // Another key comes in front, and the old one stays in the file.
  fs::permissions(store.settings.key_file, fs::perms::owner_read | fs::perms::owner_write);
  std::ofstream(store.settings.key_file)
      << "k2:" << std::string(64, 'b') << "\nk1:" << std::string(64, 'a') << '\n';
  store.write({bot_sighting(kNoon + 2, "192.0.2.7:1", "rotated")});
  CHECK(store.ids({{"client", "192.0.2.7"}}) == "rotated keyed before");
  CHECK(store.ids({{"client", "192.0.2.0/24"}}) == "rotated keyed other before");
}

TEST_CASE("a network is the same one in each way of writing it") {
  Filled store(
      {bot_sighting(kNoon, "[2001:db8::7]:1", "A"), bot_sighting(kNoon, "192.0.2.7:1", "B")});
  for (const char* text : {"2001:db8::/48", "2001:db8:0::/48", "2001:0DB8:0000::/48"}) {
    CHECK(store.ids({{"client", text}}) == "A");
    CHECK(store.ids({{"client", std::string("!") + text}}) == "B");
  }
}

TEST_CASE("a missing folder is reported") {
  config::Memory settings;
  settings.folder = "/tmp/segmilter-no-such-folder";
  try {
    (void)History(settings).page({}, {});
    FAIL("it was read");
  } catch (const history::Unavailable& error) {
    CHECK(error.why() == history::Unavailable::Why::Missing);
    CHECK_THAT(error.what(), Catch::StartsWith("/tmp/segmilter-no-such-folder: "));
  }
}

TEST_CASE("a damaged file is reported and skipped") {
  const Filled store(mixed());
  SECTION("no database") {
    std::ofstream(store.file()) << std::string(10'000, 'x');
  }
  SECTION("cut") {
    fs::resize_file(store.file(), 5000);
  }
  SECTION("of another schema") {
    store.execute("PRAGMA user_version = 99");
  }
  SECTION("without its table") {
    store.execute("DROP VIEW sightings; DROP TABLE messages");
  }
  SECTION("moved aside") {
    fs::rename(store.file(), store.file("messages-20261127.db.corrupt-1"));
  }
  const auto page = store.page();
  REQUIRE(page.rows.size() == 1);
  CHECK(page.rows.front().queue_id == "A");
  REQUIRE(page.problems.size() == 1);
  CHECK_THAT(page.problems.front(), Catch::StartsWith(store.file()));
  CHECK(store.count().problems.size() == 1);
  CHECK(store.count().all().messages == 1);
}

TEST_CASE("a file that vanishes is no error") {
  const Filled store(mixed());
  fs::remove(store.file());
  fs::create_symlink(store.file("not-there"), store.file());
  const auto page = store.page();
  CHECK(page.rows.size() == 1);
  CHECK(page.problems.empty());
}

TEST_CASE("rows that are written meanwhile are seen, and the writer is not disturbed") {
  Filled store;
  memory::Store writer(store.settings.folder);
  const memory::AddressForm form(store.settings);
  History reader(store.settings);
  for (std::size_t i = 1; i <= 20; ++i) {
    const auto sighting = memory::numbered_sighting(static_cast<std::uint32_t>(i));
    REQUIRE(writer.write({&sighting, 1}, form).rows == 1);
    CHECK(reader.page({}, {}).rows.size() == i);
    CHECK(reader.count({}).all().messages == i);
  }
}

TEST_CASE("files that SQLite makes for root belong to the owner of the store") {
  if (geteuid() != 0) return;
  const Filled store(mixed());
  constexpr uid_t kNobody = 65534;
  REQUIRE(chown(store.settings.folder.c_str(), kNobody, kNobody) == 0);
  for (const auto& entry : fs::directory_iterator(store.settings.folder)) {
    REQUIRE(chown(entry.path().c_str(), kNobody, kNobody) == 0);
  }
  CHECK(store.page().rows.size() == 4);
  CHECK(store.count().all().messages == 4);
  for (const auto& entry : fs::directory_iterator(store.settings.folder)) {
    struct stat about {};
    REQUIRE(stat(entry.path().c_str(), &about) == 0);
    INFO(entry.path());
    CHECK(about.st_uid == kNobody);
  }
}

TEST_CASE("a file whose ids have gaps of any size is counted at once") {
  const Filled store({bot_sighting(kNoon, "192.0.2.7:1", "A"),
                      bot_sighting(kNoon, "192.0.2.8:1", "B"),
                      bot_sighting(kNoon, "192.0.2.9:1", "C")});
  store.execute("UPDATE messages SET id = 9223372036854775807 WHERE queue_id = 'C'");
  store.execute("UPDATE messages SET id = -9223372036854775807 - 1 WHERE queue_id = 'A'");
  CHECK(store.count().all().rows == 3);
  CHECK(store.count({{"client", "192.0.2.9"}}).all().rows == 1);
}

TEST_CASE("a view in the place of a table is not read, because it may never end") {
  const Filled store({bot_sighting()});
  store.execute(
      "ALTER TABLE messages RENAME TO others; CREATE VIEW messages AS WITH RECURSIVE n(i) AS "
      "(SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i AS id, others.time, n.i AS weight FROM n, "
      "others WHERE i < 0");
  CHECK(store.page().rows.empty());
  CHECK(store.page().problems.size() == 1);
  CHECK(store.count().problems.size() == 1);
}
