#include "milter/memory/teaching.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "milter/memory/database.h"
#include "milter/memory/forget_requests.h"
#include "milter/memory/store.h"
#include "tests/support/sightings.h"
#include "tests/support/table_file.h"

using memory::Teaching;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

std::int64_t now_ms() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now())
      .time_since_epoch()
      .count();
}

// A bot whose verdict, without a term of the reputation, is `score`.
memory::Sighting sighting(std::string client, double score = 7.5, std::int64_t ms = now_ms()) {
  auto sighting = memory::bot_sighting(ms, std::move(client));
  sighting.verdict.score = score;
  return sighting;
}

struct Bed {
  Bed() { config.memory.folder = mkdtemp(name_); }
  ~Bed() { fs::remove_all(name_); }

  // After one turn of the timer an empty store has been read.
  void start(int turns = 1) {
    teaching.reset();
    teaching.emplace(config, table->fd.get(), counters);
    for (int i = 0; i < turns; ++i) teaching->tick();
  }
  void lose_table() {
    teaching.reset();
    table = std::make_unique<reputation::TableFile>();
  }
  std::optional<reputation::Standing> standing(std::string_view address) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return reputation::Reader(reputation::TableView(table->fd.get()),
                              reputation::read_rules(config), counters)
        .look_up(reputation::client(address), {}, now);
  }
  // The entry of the network to which the address belongs.
  std::optional<reputation::Entry> entry(std::string_view address) {
    const auto origin = reputation::Keys(config.memory).origin(reputation::client(address), {}, {});
    return table->writer.find(origin.network);
  }
  double seen(std::string_view address) {
    const auto found = standing(address);
    return found && !found->levels.empty() ? found->levels[0].total : 0;
  }

  config::Config config;
  reputation::Counters counters;
  std::unique_ptr<reputation::TableFile> table = std::make_unique<reputation::TableFile>();
  std::optional<Teaching> teaching;

 private:
  char name_[40] = "/tmp/segmilter-teaching-XXXXXX";
};

}  // namespace

TEST_CASE("a verdict teaches without the terms that the reputation has added to it") {
  auto bad = sighting("192.0.2.7:1", 6.5);
  CHECK(memory::lesson_of(bad) == reputation::Lesson{1, 0.25});
  bad.verdict.reasons.add_added({.kind = "network", .name = "192.0.2.0/24", .weight = 0.9});
  CHECK(memory::lesson_of(bad).trust == 0);
  bad.verdict.reasons.add_added({.kind = "address", .name = "192.0.2.7", .weight = -0.4});
  CHECK(memory::lesson_of(bad) == reputation::Lesson{1, 0.25});
  auto good = sighting("192.0.2.7:1", -1.5);
  CHECK(memory::lesson_of(good).trust == 0);
  good.helo.confirmed = true;
  CHECK(memory::lesson_of(good) == reputation::Lesson{0, 0.1});
}

TEST_CASE("a network that sent bots has a worse standing at once") {
  Bed bed;
  bed.start();
  CHECK(bed.standing("192.0.2.99")->term == 0);
  for (int host = 1; host < 30; ++host) {
    bed.teaching->take(sighting("192.0.2." + std::to_string(host) + ":1"));
  }
  CHECK(bed.standing("192.0.2.99")->term > 0.5);
  CHECK(bed.standing("198.51.100.1")->term == 0);
  CHECK(bed.counters.learnt_bad == 29);
}

TEST_CASE("a message from the future counts as of now, and one without a client not at all") {
  Bed bed;
  bed.start();
  bed.teaching->take(sighting("192.0.2.7:1", 7.5, now_ms() + 86'400'000LL * 400));
  auto unknown = sighting("192.0.2.7:1");
  unknown.client.reset();
  bed.teaching->take(unknown);
  CHECK(bed.seen("192.0.2.7") == Approx(1));
}

TEST_CASE("[reputation] enabled = false: nothing is learnt, also after a reload") {
  Bed bed;
  bed.config.reputation.enabled = false;
  bed.start();
  bed.teaching->take(sighting("192.0.2.7:1"));
  CHECK(bed.seen("192.0.2.7") == 0);
  bed.config.reputation.enabled = true;
  bed.teaching->reload(bed.config);
  bed.teaching->tick();
  bed.teaching->take(sighting("192.0.2.7:1"));
  CHECK(bed.seen("192.0.2.7") == Approx(1));
}

TEST_CASE(
    "while reputations are turned off, the day files are not read, and requests to forget are "
    "taken") {
  Bed bed;
  {
    memory::Store store(bed.config.memory.folder);
    const auto one = sighting("192.0.2.7:1");
    REQUIRE(store.write({&one, 1}, memory::AddressForm(bed.config.memory)).rows == 1);
  }
  bed.config.reputation.enabled = false;
  bed.start(5);
  CHECK(bed.seen("192.0.2.7") == 0);
  memory::request_to_forget(bed.config.memory.folder, *net::Network::parse("198.51.100.7"));
  for (int i = 0; i < 2; ++i) bed.teaching->tick();  // taken, and then removed
  CHECK(memory::ForgetRequests(bed.config.memory.folder).take(1).empty());
  bed.config.reputation.enabled = true;
  bed.teaching->reload(bed.config);
  for (int i = 0; i < 3; ++i) bed.teaching->tick();
  CHECK(bed.seen("192.0.2.7") == Approx(1).epsilon(0.001));
}

TEST_CASE("the table outlives the process; after a stop it comes back from its file") {
  Bed bed;
  bed.start(2);
  for (int i = 0; i < 10; ++i) bed.teaching->take(sighting("192.0.2.7:1"));
  SECTION("the process died") {
    bed.start(2);
    CHECK(bed.seen("192.0.2.7") == Approx(10).epsilon(0.001));
  }
  SECTION("the service was stopped") {
    bed.teaching->save();
    bed.lose_table();
    bed.start(2);
    CHECK(bed.seen("192.0.2.7") == Approx(10).epsilon(0.001));
  }
}

TEST_CASE("without a file that can be used, the table is rebuilt from the day files") {
  Bed bed;
  memory::Store store(bed.config.memory.folder);
  const memory::AddressForm form(bed.config.memory);
  std::vector<memory::Sighting> batch;
  constexpr std::int64_t kDay = 86'400'000;
  for (int i = 0; i < 40; ++i) {
    auto one =
        sighting("192.0.2." + std::to_string(i) + ":1", 7.5, now_ms() - kDay * (4 - i / 10) - 5000);
    // In these messages the score comes from the reputation's own term, which must teach nothing.
    if (i % 2 == 1) {
      one.verdict.reasons.add_added({.kind = "network", .name = "192.0.2.0/24", .weight = 2.5});
    }
    batch.push_back(one);
  }
  REQUIRE(store.write(batch, form).rows == 40);
  const auto today = memory::day_of(memory::at_ms(now_ms()));
  while (store.truncate_some(1000, today)) {
  }
  const bool is_damaged = GENERATE(false, true);
  if (is_damaged) std::ofstream(bed.config.memory.folder + "/reputation.state") << "no table";
  bed.start(8);
  const auto standing = bed.standing("192.0.2.35");
  REQUIRE(standing);
  REQUIRE_FALSE(standing->levels.empty());
  CHECK(standing->levels[0].name == "192.0.2.0/24");
  // The numbers have faded since the messages came.
  CHECK(standing->levels[0].total == Approx(40 * std::exp2(-2.5 / 14)).epsilon(0.02));
  CHECK(standing->levels[0].spam == Approx(20 * std::exp2(-2.5 / 14)).epsilon(0.03));
  CHECK(standing->term > 0);
  bed.teaching->save();
  bed.lose_table();
  bed.start();
  const auto again = bed.standing("192.0.2.35");
  REQUIRE(again->levels.size() == standing->levels.size());
  CHECK(again->rate == Approx(standing->rate).epsilon(0.001));
  CHECK(again->levels[0].total == Approx(standing->levels[0].total).epsilon(0.001));
}

namespace {

// A harmless message whose sender has a confirmed name.
memory::Sighting wanted(std::string client, std::int64_t ms) {
  auto one = sighting(std::move(client), -1.5, ms);
  one.helo.confirmed = true;
  one.decision = {};
  return one;
}

}  // namespace

TEST_CASE("a row that stands for several messages teaches the rebuilt table as they taught it") {
  Bed bed;
  memory::Store store(bed.config.memory.folder);
  bed.start(2);
  const std::uint32_t one_of = GENERATE(2U, 8U, 64U);
  store.sample(one_of);
  std::vector<memory::Sighting> batch;
  for (int i = 0; i < 1280; ++i) {
    batch.push_back(wanted(fmt::format("192.0.2.{}:1", i % 255), now_ms() - 60'000 + i));
  }
  REQUIRE(store.write(batch, memory::AddressForm(bed.config.memory)).rows == 1280 / one_of);
  for (const auto& one : batch) bed.teaching->take(one);
  const auto live = *bed.entry("192.0.2.0");
  bed.lose_table();
  bed.start(4);
  const auto rebuilt = *bed.entry("192.0.2.0");
  CHECK(rebuilt.seen == Approx(live.seen).epsilon(0.001));
  // One row has the trust of one certain message at most.
  const double most = 1280.0 / one_of;
  CHECK(rebuilt.total == Approx(std::min<double>(live.total, most)).epsilon(0.001));
  CHECK(bed.counters.learnt_good == 2 * 1280);
}

TEST_CASE("a weight in the file that no program wrote counts as 1, or as the largest weight") {
  Bed bed;
  memory::Store store(bed.config.memory.folder);
  REQUIRE(store.write(std::vector{sighting("192.0.2.7:1")}, memory::AddressForm(bed.config.memory))
              .rows == 1);
  const auto [text, seen] =
      GENERATE(table<const char*, double>({{"-7", 1}, {"0", 1}, {"'x'", 1}, {"1e30", 1024}}));
  const auto day = memory::print(memory::day_of(memory::at_ms(now_ms())));
  memory::Database(bed.config.memory.folder + "/messages-" + day + ".db",
                   memory::Database::Mode::Write)
      .execute(fmt::format("UPDATE messages SET weight = {}", text));
  bed.start(4);
  CHECK(bed.seen("192.0.2.7") == Approx(seen).epsilon(0.001));
}

TEST_CASE("rows that have lost their addresses teach a network no more than one address a day") {
  Bed bed;
  memory::Store store(bed.config.memory.folder);
  std::vector<memory::Sighting> batch;
  constexpr std::int64_t kDay = 86'400'000;
  for (const int day : {6, 5}) {
    for (int i = 0; i < 100; ++i) {
      batch.push_back(sighting("192.0.2.7:1", 7.5, now_ms() - kDay * day + i));
    }
  }
  REQUIRE(store.write(batch, memory::AddressForm(bed.config.memory)).rows == 200);
  const auto today = memory::day_of(memory::at_ms(now_ms()));
  while (store.truncate_some(1000, today)) {
  }
  SECTION("where the table has addresses, those of one may have sent them all") {
    bed.start(4);
    const auto left = std::exp2(-6.0 / 14) + std::exp2(-5.0 / 14);
    CHECK(bed.entry("192.0.2.0")->total == Approx(5 * left).epsilon(0.001));
    CHECK(bed.entry("192.0.2.0")->seen == Approx(100 * left).epsilon(0.001));
  }
  SECTION("with truncated addresses the network is judged as a whole, as while they came") {
    bed.config.memory.addresses = config::Memory::Addresses::Truncated;
    bed.start(4);
    const auto left = std::exp2(-6.0 / 14) + std::exp2(-5.0 / 14);
    CHECK(bed.entry("192.0.2.0")->total == Approx(25 * left).epsilon(0.001));
  }
}

TEST_CASE(
    "messages that come while the table is rebuilt are learnt once, and use no other day's share") {
  Bed bed;
  memory::Store store(bed.config.memory.folder);
  const memory::AddressForm form(bed.config.memory);
  std::vector<memory::Sighting> batch;
  constexpr std::int64_t kDay = 86'400'000;
  for (int i = 0; i < 6000; ++i) {
    batch.push_back(sighting("192.0.2.7:1", 7.5, now_ms() - kDay - 6000 + i));
  }
  REQUIRE(store.write(batch, form).rows == 6000);
  bed.start(1);
  const std::vector now{sighting("192.0.2.7:1"), sighting("192.0.2.7:1")};
  for (const auto& one : now) bed.teaching->take(one);
  REQUIRE(store.write(now, form).rows == 2);
  for (int i = 0; i < 4; ++i) bed.teaching->tick();
  const auto left = std::exp2(-1.0 / 14);
  CHECK(bed.entry("192.0.2.0")->seen == Approx(6000 * left + 2).epsilon(0.0001));
  CHECK(bed.entry("192.0.2.0")->total == Approx(5 * left + 0.5).epsilon(0.001));
  bed.teaching->take(sighting("192.0.2.7:1"));
  CHECK(bed.entry("192.0.2.0")->seen == Approx(6000 * left + 3).epsilon(0.0001));
}

TEST_CASE("a day file that is far ahead of the clock teaches nothing") {
  Bed bed;
  memory::Store store(bed.config.memory.folder);
  constexpr std::int64_t kDay = 86'400'000;
  const std::vector batch{sighting("192.0.2.7:1", 7.5, now_ms() - 1000),
                          sighting("192.0.2.7:1", 7.5, now_ms() + 26'000 * kDay)};
  REQUIRE(store.write(batch, memory::AddressForm(bed.config.memory)).rows == 2);
  bed.start(4);
  CHECK(bed.seen("192.0.2.7") == Approx(1).epsilon(0.001));
}

TEST_CASE("a process that ended while it filled the table leaves nothing that counts twice") {
  Bed bed;
  memory::Store store(bed.config.memory.folder);
  std::vector<memory::Sighting> batch;
  for (int i = 0; i < 6000; ++i)
    batch.push_back(sighting("192.0.2.7:1", 7.5, now_ms() - 60'000 + i));
  REQUIRE(store.write(batch, memory::AddressForm(bed.config.memory)).rows == 6000);
  bed.start(1);  // 5000 of them
  CHECK(bed.seen("192.0.2.7") == Approx(5000).epsilon(0.01));
  bed.start(4);
  CHECK(bed.seen("192.0.2.7") == Approx(6000).epsilon(0.01));
}

TEST_CASE("what is to be forgotten leaves the table and its file") {
  Bed bed;
  bed.start(2);
  for (const char* client : {"192.0.2.7:1", "192.0.2.8:1", "198.51.100.7:1"}) {
    for (int i = 0; i < 5; ++i) bed.teaching->take(sighting(client));
  }
  memory::request_to_forget(bed.config.memory.folder, *net::Network::parse("192.0.2.0/24"));
  bed.teaching->tick();
  CHECK(bed.standing("192.0.2.7")->levels.empty());
  CHECK(bed.seen("198.51.100.7") == Approx(5).epsilon(0.001));
  CHECK_FALSE(fs::exists(bed.config.memory.folder + "/forget.requests"));
  bed.teaching->save();
  bed.lose_table();
  bed.start(2);
  CHECK(bed.standing("192.0.2.8")->levels.empty());
  CHECK(bed.seen("198.51.100.7") == Approx(5).epsilon(0.001));
}

TEST_CASE("addresses = truncated at a reload takes the addresses out of the table") {
  Bed bed;
  bed.start();
  for (int i = 0; i < 10; ++i) bed.teaching->take(sighting("192.0.2.7:1"));
  CHECK(bed.standing("192.0.2.7")->levels.size() == 2);
  bed.config.memory.addresses = config::Memory::Addresses::Truncated;
  bed.teaching->reload(bed.config);
  CHECK(bed.standing("192.0.2.7")->levels.size() == 1);
  bed.config.memory.addresses = config::Memory::Addresses::Full;
  CHECK(bed.standing("192.0.2.7")->levels.size() == 1);
}
