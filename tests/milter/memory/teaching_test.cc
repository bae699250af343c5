#include "milter/memory/teaching.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>

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

  // `rebuilds`: turns of the timer.
  void start(int turns = 0) {
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
  bed.teaching->take(sighting("192.0.2.7:1"));
  CHECK(bed.seen("192.0.2.7") == Approx(1));
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
    // Of these the reputation's own term made the score.
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
  // They have faded since then.
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
