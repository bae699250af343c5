// Tests the reading and printing of queries.
#include "milter/desk/query.h"

#include <catch2/catch.hpp>

using history::Pairs;

TEST_CASE("a query is read as pairs, without those that a form left empty") {
  struct Row {
    std::string text;
    Pairs pairs;
  };
  const Row rows[] = {
      {"", {}},
      {"a=1", {{"a", "1"}}},
      {"a=1&b=2", {{"a", "1"}, {"b", "2"}}},
      {"a=&b=2&", {{"b", "2"}}},
      {"a", {}},
      {"a=%3Cb%3e+c", {{"a", "<b> c"}}},
      {"a%20b=1=2", {{"a b", "1=2"}}},
      {"a=%00", {{"a", std::string(1, '\0')}}},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto read = desk::parse_query(row.text);
    REQUIRE(std::holds_alternative<Pairs>(read));
    CHECK(std::get<Pairs>(read) == row.pairs);
  }
}

TEST_CASE("a query that is too long, or whose percent forms are wrong, is an error") {
  for (const std::string& text :
       {std::string("a=%"), std::string("a=%4"), std::string("a=%4g"), std::string("%=a"),
        std::string("a=%-1"), std::string(desk::kMostQuery + 1, 'a')}) {
    INFO(text.substr(0, 20));
    CHECK(std::holds_alternative<desk::QueryError>(desk::parse_query(text)));
  }
}

TEST_CASE("what is printed is read as the same pairs") {
  const Pairs pairs{{"client", "2001:db8::/48"}, {"gait", "!a,b"}, {"x", "&=+%\" <\x80"}};
  const auto text = desk::print_query(pairs);
  CHECK(text.starts_with("?client=2001:db8::/48&gait=!a,b&x=%26%3D%2B%25%22%20%3C%80"));
  CHECK(std::get<Pairs>(desk::parse_query(text.substr(1))) == pairs);
  CHECK(desk::print_query({}).empty());
}
