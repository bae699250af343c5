#include "milter/memory/day.h"

#include <catch2/catch.hpp>
#include <string>

using memory::Day;
using memory::day_in;
using memory::day_of;
using namespace std::chrono_literals;

namespace {

constexpr Day kDay{2026y / 11 / 27};

}  // namespace

TEST_CASE("a day begins at midnight of UTC") {
  CHECK(day_of(memory::Time(kDay)) == kDay);
  CHECK(day_of(memory::Time(kDay) - 1ms) == kDay - std::chrono::days(1));
  CHECK(day_of(memory::Time(kDay) + 24h - 1ms) == kDay);
  CHECK(memory::print(kDay) == "20261127");
  CHECK(memory::print(Day{}) == "19700101");
}

TEST_CASE("the names of the store's files tell their day") {
  for (const char* name :
       {"messages-20261127.db", "messages-20261127.db-wal", "messages-20261127.db-shm",
        "messages-20261127-schema1.db", "messages-20261127.db.corrupt-1795780800"}) {
    INFO(name);
    CHECK(day_in(name) == kDay);
  }
}

TEST_CASE("other names tell no day") {
  for (const char* name :
       {"", "messages-", "messages-20261127", "messages-2026112.db", "messages-20261327.db",
        "messages-20260229.db", "messages-2026-11-27.db", "xmessages-20261127.db", "totals.db",
        "messages-+2611271.db", "messages-20261127.txt"}) {
    INFO(name);
    CHECK_FALSE(day_in(name));
  }
}
