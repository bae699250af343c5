#include "milter/tcp/stream_place.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <limits>

using tcp::stream_place;

TEST_CASE("a sequence number has its place in the stream near the current place") {
  struct Row {
    const char* what;
    std::uint32_t number;
    std::uint32_t first;
    std::uint64_t near;
    std::int64_t place;
  };
  constexpr std::uint64_t kWrap = std::uint64_t{1} << 32;
  const Row rows[] = {
      {"the first byte", 1000, 1000, 0, 0},
      {"further on", 1500, 1000, 0, 500},
      {"after what was read", 1200, 1000, 500, 200},
      {"a balancer's header before the stream", 900, 1000, 0, -100},
      {"numbers wrap around just after the first byte", 5, 0xfffffff0, 0, 21},
      {"before the stream, across the wrap", 0xfffffff0, 5, 0, -21},
      {"the second time around", 1010, 1000, kWrap, static_cast<std::int64_t>(kWrap + 10)},
      {"a little before the second time around", 990, 1000, kWrap,
       static_cast<std::int64_t>(kWrap - 10)},
      {"a number that wraps in the fifth time around", 3, 0xffffff00, 5 * kWrap + 200,
       static_cast<std::int64_t>(5 * kWrap + 259)},
      {"the furthest ahead", 0x7fffffff, 0, 0, 0x7fffffff},
      {"half of the numbers away, it is before", 0x80000000, 0, kWrap,
       static_cast<std::int64_t>(kWrap) - 0x80000000LL},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(stream_place(row.number, row.first, row.near) == row.place);
  }
}

TEST_CASE("whatever the numbers, a place within 2 GB is found again from its number") {
  rc::check([](std::uint32_t first, std::uint32_t near_low, std::int32_t away) {
    const std::uint64_t near = std::uint64_t{near_low} * 4096;
    const std::int64_t place = static_cast<std::int64_t>(near) + away;
    const auto number = static_cast<std::uint32_t>(first + static_cast<std::uint64_t>(place));
    RC_ASSERT(stream_place(number, first, near) == place);
  });
}
