#include "milter/time/rfc3339.h"

#include <catch2/catch.hpp>

using rfc3339::parse_time;
using rfc3339::print_time;

TEST_CASE("a time is printed in UTC to the millisecond, and read back") {
  CHECK(print_time(1'795'762'800'123'999'999) == "2026-11-27T07:00:00.123Z");
  CHECK(print_time(0) == "1970-01-01T00:00:00.000Z");
  CHECK(parse_time("2026-11-27T07:00:00.123Z") == 1'795'762'800'123'000'000);
}

TEST_CASE("a time with a zone is read") {
  struct Row {
    const char* what;
    const char* text;
    std::uint64_t ns;
  };
  const Row rows[] = {
      {"seconds", "2026-11-27T07:00:00Z", 1'795'762'800'000'000'000},
      {"microseconds east of UTC", "2026-11-27T08:00:00.000456+01:00", 1'795'762'800'000'456'000},
      {"west of UTC, as journalctl prints it", "2026-11-27T04:30:00-0230",
       1'795'762'800'000'000'000},
      {"more digits than a nanosecond has", "1970-01-01T00:00:00.1234567891Z", 123'456'789},
      {"a leap second", "2016-12-31T23:59:60Z", 1'483'228'800'000'000'000},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(parse_time(row.text) == row.ns);
  }
}

TEST_CASE("other text is not a time") {
  struct Row {
    const char* what;
    const char* text;
  };
  const Row rows[] = {
      {"nothing", ""},
      {"a date", "2026-11-27"},
      {"no zone", "2026-11-27T07:00:00"},
      {"a blank for T", "2026-11-27 07:00:00Z"},
      {"month 13", "2026-13-27T07:00:00Z"},
      {"hour 24", "2026-11-27T24:00:00Z"},
      {"two digits for the year", "26-11-27T07:00:00Z"},
      {"a zone of more than a day", "2026-11-27T07:00:00+24:00"},
      {"half a zone", "2026-11-27T07:00:00+01"},
      {"text after it", "2026-11-27T07:00:00Zx"},
      {"before 1970", "1970-01-01T00:00:00+01:00"},
      {"later than 64 bits of nanoseconds", "9999-01-01T00:00:00Z"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK_FALSE(parse_time(row.text));
  }
}
