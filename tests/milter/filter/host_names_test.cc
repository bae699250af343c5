// Tests names that Postfix confirmed, and suffixes of names that begin at a dot.
#include "milter/filter/host_names.h"

#include <catch2/catch.hpp>

TEST_CASE("a name is confirmed if Postfix gives one") {
  CHECK(filter::is_confirmed("mail.example.org"));
  for (const auto* name : {"", "unknown", "UNKNOWN", "[192.0.2.7]", "[IPv6:2001:db8::7]"}) {
    INFO(name);
    CHECK_FALSE(filter::is_confirmed(name));
  }
}

TEST_CASE("a suffix matches at a dot, ignoring case") {
  struct Row {
    const char* name;
    const char* suffix;
    bool expected;
  };
  const auto row = GENERATE(values<Row>({
      {"example.org", "example.org", true},
      {"mail.example.org", "example.org", true},
      {"MAIL.Example.ORG", "eXample.org", true},
      {"mail.example.org.", "example.org", true},
      {"mail.example.org", ".example.org", true},
      {"example.org", ".example.org", false},
      {"badexample.org", "example.org", false},
      {"badexample.org", ".example.org", false},
      {"mail.example.org.evil.example", "example.org", false},
      {"org", "example.org", false},
      {"", "example.org", false},
      {".", ".", false},
      {"mail.example.org", "", false},
  }));
  CAPTURE(row.name, row.suffix);
  CHECK(filter::ends_in(row.name, row.suffix) == row.expected);
}
