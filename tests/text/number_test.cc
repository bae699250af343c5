// Tests text/number.
#include "text/number.h"

#include <catch2/catch.hpp>
#include <cstdint>

TEST_CASE("a number is the whole word") {
  CHECK(text::number<int>("42") == 42);
  CHECK(text::number<int>("-42") == -42);
  CHECK(text::number<std::uint8_t>("255") == 255);
  CHECK(text::number<unsigned>("0660", 8) == 0660U);
  CHECK(text::number<std::uint8_t>("fF", 16) == 255);
}

TEST_CASE("a word that is not a number, or too large a number, gives nothing") {
  for (const char* word : {"", " 1", "1 ", "+1", "1.5", "0x1", "one", "99999999999"}) {
    CAPTURE(word);
    CHECK_FALSE(text::number<int>(word));
  }
  CHECK_FALSE(text::number<unsigned>("-1"));
  CHECK_FALSE(text::number<std::uint8_t>("256"));
  CHECK_FALSE(text::number<unsigned>("8", 8));
}
