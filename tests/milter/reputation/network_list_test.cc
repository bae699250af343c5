#include "milter/reputation/network_list.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>

#include "tests/support/table_file.h"

using namespace reputation;

namespace {

NetworkList list_of(std::string_view text) {
  auto parsed = NetworkList::parse(text);
  if (auto* error = std::get_if<NetworkList::Error>(&parsed)) {
    FAIL(error->line << ": " << error->message);
  }
  return std::get<NetworkList>(std::move(parsed));
}

}  // namespace

TEST_CASE("networks are read with their facts") {
  const auto list = list_of(
      "# network,asn,type,country\n"
      "\n"
      "192.0.2.0/24,64500,cellular,RO\r\n"
      " 198.51.100.0/24 , AS64501 \n"
      "2001:db8::/32,64502,hosting,\n"
      "203.0.113.7,,cable\n");
  struct Row {
    const char* client;
    NetworkFacts facts;
  };
  const Row rows[] = {
      {"192.0.2.7", {64500, Access::Cellular, "RO"}},
      {"192.0.2.255", {64500, Access::Cellular, "RO"}},
      {"192.0.3.0", {}},
      {"192.0.1.255", {}},
      {"198.51.100.9", {64501, Access::Unknown, ""}},
      {"2001:db8:ffff::1", {64502, Access::Hosting, ""}},
      {"2001:db9::", {}},
      {"203.0.113.7", {{}, Access::Cable, ""}},
      {"203.0.113.8", {}},
      {"0.0.0.0", {}},
      {"255.255.255.255", {}},
  };
  CHECK(list.size() == 4);
  for (const Row& row : rows) {
    INFO(row.client);
    CHECK(list.find(client(row.client)) == row.facts);
  }
}

TEST_CASE("the narrowest network decides, and a wider one decides what the narrowest leaves open") {
  const auto list = list_of(
      "10.1.2.0/24,3,cellular\n10.0.0.0/8,1,,DE\n10.1.0.0/16,2\n10.3.0.0/16,4\n0.0.0.0/0,9\n");
  CHECK(list.find(client("10.1.2.3")) == NetworkFacts{3, Access::Cellular, "DE"});
  CHECK(list.find(client("10.1.3.3")) == NetworkFacts{2, Access::Unknown, "DE"});
  CHECK(list.find(client("10.2.0.1")) == NetworkFacts{1, Access::Unknown, "DE"});
  CHECK(list.find(client("10.3.0.1")).asn == 4);
  CHECK(list.find(client("10.4.0.1")).asn == 1);
  CHECK(list.find(client("11.0.0.1")).asn == 9);
}

TEST_CASE("an empty file has no networks") {
  CHECK(list_of("").size() == 0);
  CHECK(list_of("# nothing\n\n").find(client("192.0.2.7")) == NetworkFacts{});
}

TEST_CASE("lines are refused with their number and the reason") {
  struct Row {
    const char* text;
    std::size_t line;
    const char* says;
  };
  const Row rows[] = {
      {"192.0.2.0/24\n", 1, "two to four fields"},
      {"#\n192.0.2.0/24,1,cable,DE,x\n", 2, "two to four fields"},
      {"192.0.2.1/24,1\n", 1, "\"192.0.2.1/24\" is not a network"},
      {"192.0.2.0/33,1\n", 1, "is not a network"},
      {"network,asn\n", 1, "is not a network"},
      {",1\n", 1, "is not a network"},
      {"192.0.2.0/24,x1\n", 1, "\"x1\" is not the number of an AS"},
      {"192.0.2.0/24,0\n", 1, "\"0\" is not the number of an AS"},
      {"192.0.2.0/24,4294967296\n", 1, "is not the number of an AS"},
      {"192.0.2.0/24,-1\n", 1, "is not the number of an AS"},
      {"192.0.2.0/24,1,mobile\n", 1, "\"mobile\" is not a type: cellular, cable"},
      {"192.0.2.0/24,1,Cellular\n", 1, "is not a type"},
      {"192.0.2.0/24,1,,de\n", 1, "\"de\" is not a country"},
      {"192.0.2.0/24,1,,DEU\n", 1, "is not a country"},
      {"192.0.2.0/24,1\n10.0.0.0/8,2\n192.0.2.0/24,3\n", 3, "another line too"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    const auto parsed = NetworkList::parse(row.text);
    const auto* error = std::get_if<NetworkList::Error>(&parsed);
    REQUIRE(error != nullptr);
    CHECK(error->line == row.line);
    CHECK_THAT(error->message, Catch::Contains(row.says));
  }
}

TEST_CASE("four hundred thousand networks are read and searched") {
  std::string text;
  for (int i = 0; i < 400'000; ++i) {
    text += fmt::format("{}.{}.{}.0/24,{}\n", 1 + i / 65536, i / 256 % 256, i % 256, i + 1);
  }
  const auto list = list_of(text);
  CHECK(list.find(client("1.0.5.9")).asn == 6);
  CHECK(list.find(client("7.26.127.1")).asn == 400'000);
}
