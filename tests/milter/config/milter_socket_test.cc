// The spelling of filter.socket: what is read, what it means, and what is refused with which
// advice.
#include "milter/config/milter_socket.h"

#include <catch2/catch.hpp>
#include <string>

using config::MilterSocket;
using config::parse_milter_socket;

namespace {

MilterSocket read(const std::string& text) {
  INFO(text);
  const auto parsed = parse_milter_socket(text);
  REQUIRE(std::holds_alternative<MilterSocket>(parsed));
  return std::get<MilterSocket>(parsed);
}

std::string refused(const std::string& text) {
  INFO(text);
  const auto parsed = parse_milter_socket(text);
  REQUIRE(std::holds_alternative<std::string>(parsed));
  return std::get<std::string>(parsed);
}

std::string address(const std::string& text) {
  const auto found = read(text).address();
  return found ? found->print() : "none";
}

}  // namespace

TEST_CASE("a milter's socket is read as libmilter spells it") {
  using Kind = MilterSocket::Kind;
  const struct {
    const char* text;
    MilterSocket socket;
  } rows[] = {
      {"unix:/run/a.sock", {Kind::Unix, "/run/a.sock", "", 0}},
      {"inet:8890@127.0.0.1", {Kind::Inet, "", "127.0.0.1", 8890}},
      {"inet:8890@mx1.example.org", {Kind::Inet, "", "mx1.example.org", 8890}},
      {"inet:1@localhost", {Kind::Inet, "", "localhost", 1}},
      {"inet6:65535@::1", {Kind::Inet6, "", "::1", 65535}},
  };
  for (const auto& row : rows) {
    INFO(row.text);
    CHECK(read(row.text) == row.socket);
    CHECK(read(row.text).is_unix() == (row.socket.kind == Kind::Unix));
    CHECK(read(row.text).print() == row.text);
  }
  // Brackets add nothing to the family.
  CHECK(read("inet6:8890@[::1]") == read("inet6:8890@::1"));
}

TEST_CASE("an inet socket has an address if its host is one") {
  CHECK(address("inet:8890@127.0.0.1") == "127.0.0.1:8890");
  CHECK(address("inet:8890@localhost") == "127.0.0.1:8890");
  CHECK(address("inet6:8890@localhost") == "[::1]:8890");
  CHECK(address("inet6:8890@[::1]") == "[::1]:8890");
  CHECK(address("inet6:8890@::1") == "[::1]:8890");
  CHECK(address("inet:8890@mx1.example.org") == "none");
  CHECK(address("unix:/run/a.sock") == "none");
}

TEST_CASE("common wrong spellings are refused with the right one") {
  CHECK(refused("/run/a.sock") ==
        "libmilter does not accept \"/run/a.sock\"; write \"unix:/run/a.sock\"");
  CHECK_THAT(refused("inet:127.0.0.1:8890"), Catch::EndsWith("write \"inet:8890@127.0.0.1\""));
  CHECK_THAT(refused("inet:[::1]:8890"), Catch::EndsWith("write \"inet6:8890@::1\""));
}

TEST_CASE("a text that is not a socket is refused with the reason") {
  const struct {
    std::string text;
    const char* reason;
  } rows[] = {
      {"", "is not unix:PATH"},
      {"tcp:8890", "is not unix:PATH"},
      {"local:/run/a.sock", "is not unix:PATH"},
      {"unix", "not the absolute path"},
      {"unix:", "not the absolute path"},
      {"unix:a.sock", "not the absolute path"},
      {"unix:/run/", "not the absolute path"},
      {"unix:/run/a\n.sock", "not the absolute path"},
      {"unix:/" + std::string(107, 'x'),
       "the path has 108 bytes, and a socket's path may have at most 107"},
      {"inet:", "\"\" is not a port"},
      {"inet:0@::1", "\"0\" is not a port"},
      {"inet:65536@127.0.0.1", "\"65536\" is not a port"},
      {"inet:x@127.0.0.1", "\"x\" is not a port"},
      {"inet:+1@127.0.0.1", "\"+1\" is not a port"},
      {"inet:8890", "every address of this machine"},
      {"inet:8890@", "every address of this machine"},
      {"inet:8890@[]", "\"\" is not an address"},
      {"inet:8890@a b", "\"a b\" is not an address"},
  };
  for (const auto& row : rows) {
    INFO(row.text);
    CHECK_THAT(refused(row.text), Catch::Contains(row.reason));
  }
}
