#include "classifier/client_hello.h"

#include <catch2/catch.hpp>

#include "tests/support/client_hello.h"

using classifier::ja4;
using classifier::read_client_hello;

namespace {

// Not a real hash. The real one has its own test (seal_sha256_test).
std::array<unsigned char, 32> no_hash(std::string_view text) {
  std::array<unsigned char, 32> digest{};
  digest[0] = static_cast<unsigned char>(text.size());
  return digest;
}

}  // namespace

TEST_CASE("a hello is read without GREASE") {
  const auto hello = read_client_hello(support::published_hello());
  REQUIRE(hello);
  CHECK(hello->version == 0x0304);
  CHECK(hello->server_name);
  CHECK(hello->ciphers.size() == 15);
  CHECK(hello->extensions.size() == 16);
  CHECK(hello->signatures.size() == 8);
  CHECK(hello->protocol == "h2");
  CHECK(ja4(*hello, no_hash).substr(0, 10) == "t13d1516h2");
  CHECK(ja4(*hello, no_hash).size() == classifier::kJa4Size);
}

TEST_CASE("the first part says version, name, counts and protocol") {
  struct Row {
    const char* label;
    support::Extensions extensions;
    const char* print;
  };
  const Row rows[] = {
      {"no extensions", {}, "t12i010000"},
      {"a name", {{0x0000, "x"}}, "t12d010100"},
      {"TLS 1.3", {{0x002b, support::vector_of(support::numbers({0x0304}), 1)}}, "t13i010100"},
      {"only GREASE offered",
       {{0x002b, support::vector_of(support::numbers({0x0a0a}), 1)}},
       "t12i010100"},
      {"one letter", {{0x0010, support::vector_of(support::vector_of("q", 1), 2)}}, "t12i0101qq"},
      {"not printable",
       {{0x0010, support::vector_of(support::vector_of("\xab\xcd", 1), 2)}},
       "t12i0101ad"},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    const auto hello = read_client_hello(support::client_hello({0x1301}, row.extensions));
    REQUIRE(hello);
    CHECK(ja4(*hello, no_hash).substr(0, 10) == row.print);
  }
}

TEST_CASE("counts stop at 99, and nothing to hash is twelve zeros") {
  const auto many =
      read_client_hello(support::client_hello(std::vector<std::uint16_t>(150, 0x1301), {}));
  REQUIRE(many);
  CHECK(ja4(*many, no_hash).substr(4, 2) == "99");
  CHECK(ja4(*many, no_hash).ends_with("_000000000000"));
}

TEST_CASE("a hello that is cut anywhere has no fingerprint") {
  const std::string hello = support::published_hello();
  for (std::size_t size = 0; size < hello.size(); ++size) {
    CHECK_FALSE(read_client_hello(std::span(hello).first(size)));
  }
  CHECK_FALSE(read_client_hello("\x02" + hello.substr(1)));
}
