#include "milter/tcp/segments.h"

#include <rapidcheck.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace {

// "0+1448 1448+100!": offset and size of each segment; ! means PSH.
std::string segments_of(const tcp::Packet& packet) {
  std::string all;
  tcp::for_each_segment(packet, [&](const classifier::Arrival& one) {
    if (!all.empty()) all += ' ';
    all += std::to_string(one.offset) + '+' + std::to_string(one.size) + (one.push ? "!" : "");
    CHECK(one.time_ns == packet.time_ns);
    CHECK(one.count == 1);
    CHECK_FALSE(one.opening);
  });
  return all;
}

}  // namespace

TEST_CASE("a packet is cut into the segments that were joined to it") {
  struct Row {
    const char* what;
    tcp::Packet packet;
    const char* segments;
  };
  const Row rows[] = {
      {"one segment", {.place = 10, .size = 700, .time_ns = 5}, "10+700"},
      {"one segment with PSH", {.place = 10, .size = 700, .push = true}, "10+700!"},
      {"a unit that is larger than the packet", {.size = 700, .unit = 1448}, "0+700"},
      {"a whole number of segments", {.size = 2896, .unit = 1448}, "0+1448 1448+1448"},
      {"PSH belongs to the last segment",
       {.place = 1, .size = 2996, .unit = 1448, .push = true},
       "1+1448 1449+1448 2897+100!"},
      {"before the stream", {.place = -700, .size = 700, .push = true}, ""},
      {"it begins before the stream", {.place = -100, .size = 700, .push = true}, "0+600!"},
      {"whole segments before the stream, and a part of one",
       {.place = -1500, .size = 3000, .unit = 1000},
       "0+500 500+1000"},
      {"a segment ends where the stream begins",
       {.place = -1000, .size = 1500, .unit = 1000},
       "0+500"},
      {"beyond 4 GB",
       {.place = 5'000'000'000, .size = 300, .unit = 200},
       "5000000000+200 5000000200+100"},
      {"nothing", {.place = 3}, ""},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    CHECK(segments_of(row.packet) == row.segments);
  }
}

TEST_CASE("segments of any packet are contiguous and contain all of its bytes in the stream") {
  rc::check([](std::int16_t place, std::uint16_t size, std::uint16_t unit) {
    std::int64_t next = std::max<std::int64_t>(place, 0);
    tcp::for_each_segment({.place = place, .size = size, .unit = unit},
                          [&](const classifier::Arrival& one) {
                            RC_ASSERT(static_cast<std::int64_t>(one.offset) == next);
                            RC_ASSERT(one.size > 0U);
                            RC_ASSERT(unit == 0 || one.size <= unit);
                            next += one.size;
                          });
    RC_ASSERT(next == std::max<std::int64_t>(std::max<std::int64_t>(place, 0), place + size));
  });
}
