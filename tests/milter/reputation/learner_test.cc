#include "milter/reputation/learner.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "milter/reputation/reader.h"
#include "tests/support/table_file.h"

using namespace reputation;

namespace {

struct Bed {
  Bed() { table.writer.use_keys(keys.check()); }

  void learn(std::string_view address, double label, double trust, Time time = on_day(0),
             std::string_view gait = {}) {
    learner.learn(keys.origin(client(address), gait, asn), {label, trust}, time, time);
  }
  Standing standing(std::string_view address, Time now = on_day(0), std::string_view gait = {}) {
    return *Reader(TableView(table.fd.get()), {keys, nullptr, {}}, counters)
                .look_up(client(address), gait, now);
  }
  Entry network(std::string_view address) {
    return *table.writer.find(keys.origin(client(address), {}, {}).network);
  }

  TableFile table;
  Counters counters;
  Keys keys{config::Memory{}};
  Learner learner{table.writer, counters};
  std::optional<std::uint32_t> asn = 64500;
};

}  // namespace

TEST_CASE("segmilter's own verdict teaches weakly, and nothing between its thresholds") {
  CHECK(own_lesson(6, false) == Lesson{1, 0.25});
  CHECK(own_lesson(9.5, true) == Lesson{1, 0.25});
  CHECK(own_lesson(5.9, false).trust == 0);
  CHECK(own_lesson(-1, true) == Lesson{0, 0.1});
  CHECK(own_lesson(-1, false).trust == 0);
  CHECK(own_lesson(-0.9, true).trust == 0);
}

TEST_CASE("a network that sent unwanted mail is worse, and its neighbours are not") {
  Bed bed;
  for (int host = 0; host < 10; ++host) bed.learn(fmt::format("192.0.2.{}", host), 1, 0.25);
  for (int i = 0; i < 200; ++i) bed.learn(fmt::format("10.{}.0.1", i), 0, 0.1);
  const auto bad = bed.standing("192.0.2.77");
  REQUIRE(bad.levels.size() == 1);
  CHECK(bad.term > 0.5);
  CHECK(sentence(bad.levels[0]).starts_with("network 192.0.2.0/24 +"));
  CHECK(sentence(bad.levels[0]).ends_with("(10 of 10 in 14 d)"));
  CHECK(bed.standing("198.51.100.1").term == 0);
  CHECK(bed.standing("198.51.100.1").levels.empty());
}

TEST_CASE("an address can be worse than its network, and adds a part of its own") {
  Bed bed;
  for (int i = 0; i < 2; ++i) bed.learn("192.0.2.7", 1, 1);
  for (int i = 0; i < 200; ++i) bed.learn(fmt::format("10.{}.0.1", i), 0, 1);
  const auto standing = bed.standing("192.0.2.7");
  REQUIRE(standing.levels.size() == 2);
  CHECK(standing.levels[1].name == "192.0.2.7");
  CHECK(standing.levels[1].delta > 0);
}

TEST_CASE("a gait tells the bots behind an address from its mail server") {
  Bed bed;
  for (int day = 0; day < 10; ++day) {
    for (int i = 0; i < 5; ++i) bed.learn("192.0.2.7", 1, 0.5, on_day(day), "bot");
    for (int i = 0; i < 5; ++i) bed.learn("192.0.2.7", 0, 0.5, on_day(day), "postfix");
  }
  const auto now = on_day(10);
  CHECK(bed.standing("192.0.2.7", now, "bot").term > bed.standing("192.0.2.7", now).term + 0.5);
  CHECK(bed.standing("192.0.2.7", now, "postfix").term < bed.standing("192.0.2.7", now).term - 0.5);
  CHECK(bed.standing("192.0.2.7", now, "unknown") == bed.standing("192.0.2.7", now));
}

TEST_CASE("one address teaches its network at most five messages a day") {
  Bed bed;
  for (int i = 0; i < 1000; ++i) bed.learn("192.0.2.7", 1, 1);
  CHECK(bed.network("192.0.2.7").total == Approx(5));
  CHECK(bed.network("192.0.2.7").bad == Approx(5));
  CHECK(bed.network("192.0.2.7").seen == Approx(1000));
  for (int i = 0; i < 1000; ++i) bed.learn("192.0.2.7", 1, 1, on_day(1));
  CHECK(bed.network("192.0.2.7").sums(on_day(1)).total == Approx(9.76).epsilon(0.01));
  SECTION("a clock that is set back brings no new day") {
    for (int i = 0; i < 1000; ++i) bed.learn("192.0.2.7", 1, 1, on_day(0));
    CHECK(bed.network("192.0.2.7").sums(on_day(1)).total == Approx(9.76).epsilon(0.01));
  }
}

TEST_CASE("one network teaches its system and the site at most twenty messages a day") {
  Bed bed;
  for (int host = 0; host < 256; ++host) {
    for (int i = 0; i < 5; ++i) bed.learn(fmt::format("192.0.2.{}", host), 1, 1);
  }
  CHECK(bed.network("192.0.2.7").total == Approx(1280));
  CHECK(bed.table.writer.find(*bed.keys.origin(client("192.0.2.7"), {}, 64500).asn)->total ==
        Approx(20));
  CHECK(bed.table.writer.find(kSite)->total == Approx(20));
}

TEST_CASE("a neighbour cannot gain a good reputation, nor spoil one by more than a day's share") {
  Bed bed;
  for (int i = 0; i < 300; ++i) bed.learn(fmt::format("10.{}.{}.1", i / 200, i % 200), i % 2, 1);
  for (int day = 0; day < 14; ++day) {
    for (int i = 0; i < 3; ++i) bed.learn("192.0.2.1", 0, 1, on_day(day));
  }
  const auto before = bed.standing("192.0.2.1", on_day(14)).term;
  for (int i = 0; i < 10'000; ++i) bed.learn("192.0.2.99", 1, 0.25, on_day(14));
  CHECK(bed.standing("192.0.2.1", on_day(14)).term < 0);
  CHECK(before < 0);
  CHECK(bed.standing("192.0.2.99", on_day(14)).term > 1);
}

TEST_CASE("messages without their address teach a network as much as one address, on each day") {
  Bed bed;
  auto origin = bed.keys.origin(client("192.0.2.7"), {}, {});
  origin.address.reset();
  origin.lost_address = true;
  for (int i = 0; i < 1000; ++i) bed.learner.learn(origin, {1, 0.25}, on_day(0), on_day(0));
  CHECK(bed.network("192.0.2.7").total == Approx(5));
  CHECK(bed.network("192.0.2.7").seen == Approx(1000));
  CHECK(bed.table.writer.find(kSite)->total == Approx(5));
  for (int i = 0; i < 1000; ++i) bed.learner.learn(origin, {1, 0.25}, on_day(1), on_day(1));
  CHECK(bed.network("192.0.2.7").sums(on_day(1)).total == Approx(9.76).epsilon(0.01));
  SECTION("a message with its address has a share of its own") {
    bed.learn("192.0.2.7", 1, 0.25, on_day(1));
    CHECK(bed.network("192.0.2.7").sums(on_day(1)).total == Approx(10.01).epsilon(0.01));
  }
}

TEST_CASE("a message that stands for several counts as them, with the trust of one at most") {
  Bed bed;
  const auto origin = bed.keys.origin(client("192.0.2.7"), {}, {});
  bed.learner.learn(origin, {0, 0.1, 4}, on_day(0), on_day(0));
  CHECK(bed.network("192.0.2.7").total == Approx(0.4));
  CHECK(bed.network("192.0.2.7").seen == Approx(4));
  CHECK(bed.network("192.0.2.7").bad == 0);
  CHECK(bed.counters.learnt_good == 4);
  bed.learner.learn(origin, {0, 0.1, 1024}, on_day(0), on_day(0));
  CHECK(bed.network("192.0.2.7").total == Approx(1.4));
  CHECK(bed.network("192.0.2.7").seen == Approx(1028));
  bed.learner.learn(origin, {1, 0.25, 2}, on_day(0), on_day(0));
  CHECK(bed.network("192.0.2.7").bad == Approx(2));
}

TEST_CASE("messages that teach nothing are counted and have no effect") {
  Bed bed;
  for (int i = 0; i < 50; ++i) bed.learn("192.0.2.7", 0, 0);
  const auto standing = bed.standing("192.0.2.7");
  CHECK(standing.term == 0);
  CHECK(standing.levels.back().total == Approx(50));
  CHECK(bed.counters.learnt_nothing == 50);
}

TEST_CASE("a reader with other keys has no answer") {
  Bed bed;
  bed.learn("192.0.2.7", 1, 1);
  bed.table.writer.use_keys(7);
  CHECK_FALSE(Reader(TableView(bed.table.fd.get()), {bed.keys, nullptr, {}}, bed.counters)
                  .look_up(client("192.0.2.7"), {}, on_day(0)));
  CHECK(bed.counters.unanswered == 1);
}
