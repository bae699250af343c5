// Names of patterns and axes: one table each, for both directions.
#include "classifier/pattern.h"

#include <catch2/catch.hpp>
#include <set>

using namespace classifier;

TEST_CASE("enumerators are counted by the compiler, up to the first value without a name") {
  enum class Whole : std::uint8_t { A, B, C };
  enum class Empty : std::uint8_t {};
  STATIC_REQUIRE(enumerators<Whole>() == 3);
  STATIC_REQUIRE(enumerators<Empty>() == 0);
  STATIC_REQUIRE(is_enumerator<Pattern::Noisy>());
  STATIC_REQUIRE_FALSE(is_enumerator<static_cast<Pattern>(kPatterns)>());
}

TEST_CASE("every pattern has its own name and is found by it") {
  std::set<std::string_view> names;
  for (int i = 0; i < kPatterns; ++i) {
    const auto pattern = static_cast<Pattern>(i);
    CHECK(pattern_named(name(pattern)) == pattern);
    names.insert(name(pattern));
  }
  CHECK(names.size() == kPatterns);
}

TEST_CASE("every writer and every path has its own name and is found by it") {
  for (int i = 0; i < kWriters; ++i) {
    const auto writer = static_cast<Writer>(i);
    CHECK(writer_named(name(writer)) == writer);
  }
  for (int i = 0; i < kPathShapes; ++i) {
    const auto path = static_cast<PathShape>(i);
    CHECK(path_named(name(path)) == path);
  }
}

TEST_CASE("the names that headers and scripts rely on do not change") {
  CHECK(name(Pattern::Unobserved) == "unobserved");
  CHECK(name(Pattern::BotTemplate) == "bot-template");
  CHECK(name(Pattern::OfficialMta) == "official-mta");
  CHECK(name(Pattern::Noisy) == "noisy");
  CHECK(name(Writer::ReceivedFirst) == "received-first");
  CHECK(name(PathShape::Fluctuating) == "fluctuating");
}

TEST_CASE("a word that is almost a name is not one") {
  for (const char* text : {"", "Relay", "relay ", "bot", "official_mta", "mobile\n"}) {
    CHECK_FALSE(pattern_named(text));
  }
  CHECK_FALSE(writer_named("line"));
  CHECK_FALSE(path_named("tiny"));
}
