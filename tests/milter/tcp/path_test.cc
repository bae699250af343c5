#include "milter/tcp/path.h"

#include <catch2/catch.hpp>

TEST_CASE("the smaller of two announced sizes counts, and an unknown one does not") {
  CHECK(tcp::smaller_mss(1460, 1400) == 1400);
  CHECK(tcp::smaller_mss(536, 1460) == 536);
  CHECK(tcp::smaller_mss(1460, 0) == 1460);
  CHECK(tcp::smaller_mss(0, 1400) == 1400);
  CHECK(tcp::smaller_mss(0, 0) == 0);
}

TEST_CASE("options reduce the payload") {
  CHECK(tcp::payload_of(1460, 12) == 1448);
  CHECK(tcp::payload_of(1460, 24) == 1436);
  CHECK(tcp::payload_of(1460, 0) == 1460);
  CHECK(tcp::full_payload(1460, true) == 1448);
  CHECK(tcp::full_payload(1460, false) == 1460);
}

TEST_CASE("an MSS that leaves no room, or is unknown, stays unchanged") {
  CHECK(tcp::payload_of(0, 12) == 0);
  CHECK(tcp::payload_of(12, 12) == 12);
  CHECK(tcp::payload_of(13, 12) == 1);
  CHECK(tcp::full_payload(0, true) == 0);
}
