// Tests text/lines.
#include "text/lines.h"

#include <catch2/catch.hpp>

TEST_CASE("lines are taken one by one, the last one with or without its line end") {
  std::string_view rest = "one\r\n\nthree";
  CHECK(text::take_line(rest) == "one\r");
  CHECK(text::take_line(rest).empty());
  CHECK(rest == "three");
  CHECK(text::take_line(rest) == "three");
  CHECK(rest.empty());
}

TEST_CASE("blanks around a text are removed") {
  CHECK(text::trimmed(" \t a b \r\n") == "a b");
  CHECK(text::trimmed(" \r\n").empty());
}
