#include "milter/memory/sighting.h"

#include <catch2/catch.hpp>
#include <string>

using memory::helo_shape;
using memory::HeloShape;

TEST_CASE("only three properties of the EHLO name are kept") {
  struct Row {
    const char* helo;
    const char* confirmed;
    HeloShape expected;
  };
  const Row rows[] = {
      {"mail.example.org", "mail.example.org", {.confirmed = true}},
      {"MAIL.example.org.", "mail.Example.org", {.confirmed = true}},
      {"mail.example.org", "mail.example.org.", {.confirmed = true}},
      {"mail.example.org", "mail.example.net", {}},
      {"mail.example.org", "xmail.example.org", {}},
      {"mail.example.org", "", {}},
      {"localhost", "", {.dotless = true}},
      {"localhost.", "", {.dotless = true}},
      {"mail", "mail", {.dotless = true, .confirmed = true}},
      {"[192.0.2.7]", "mail.example.org", {.literal = true}},
      {"[IPv6:2001:db8::1]", "", {.literal = true}},
      {"[192.0.2.7", "", {}},
      {"192.0.2.7", "", {}},
      {"", "", {}},
      {".", "", {}},
  };
  for (const Row& row : rows) {
    INFO('"' << row.helo << "\" by a client named \"" << row.confirmed << '"');
    CHECK(helo_shape(row.helo, row.confirmed) == row.expected);
  }
}
