#include "milter/seal/sha256.h"

#include <catch2/catch.hpp>

#include "classifier/client_hello.h"
#include "tests/support/client_hello.h"

TEST_CASE("SHA-256 of the standard's example is right") {
  // FIPS 180-2, B.1.
  const auto digest = seal::sha256("abc");
  CHECK(digest[0] == 0xba);
  CHECK(digest[1] == 0x78);
  CHECK(digest[31] == 0xad);
}

TEST_CASE("the example of JA4's specification has its published digest") {
  const auto hello = classifier::read_client_hello(support::published_hello());
  REQUIRE(hello);
  CHECK(classifier::ja4(*hello, seal::sha256) == "t13d1516h2_8daaf6152771_e5627efa2ab1");
}
