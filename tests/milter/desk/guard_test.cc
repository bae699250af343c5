// Tests by which names the desk may be called.
#include "milter/desk/guard.h"

#include <catch2/catch.hpp>

TEST_CASE("the desk answers to its addresses, to localhost and to the configured names") {
  config::Desk config;
  config.listen = {*net::Endpoint::parse("192.0.2.1:9125"),
                   *net::Endpoint::parse("[2001:db8::1]:9125")};
  config.hosts = {"Desk.Example.Org", "2001:db8:0:0::2"};
  const desk::Guard guard(config);
  for (const auto* host :
       {"localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:9125", "127.0.0.1:1", "[::1]",
        "[::1]:9125", "192.0.2.1", "192.0.2.1:9125", "[2001:db8::1]:9125", "[2001:DB8:0::1]",
        "desk.example.org", "desk.example.org.", "DESK.example.org:443", "[2001:db8::2]"}) {
    INFO(host);
    CHECK(guard.accepts_host(host));
  }
  for (const auto* host :
       {"", ":", ":9125", "evil.example", "localhost.evil.example", "desk.example.org.evil.example",
        "evil.example:9125", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:99999", "127.0.0.2",
        "192.0.2.2", "localhost@evil.example", "localhost evil", "0.0.0.0", "[::]", "[::1", "127.1",
        "2130706433"}) {
    INFO(host);
    CHECK_FALSE(guard.accepts_host(host));
  }
}

TEST_CASE("only a request from a page of another site counts as such") {
  CHECK(desk::comes_from_another_site("cross-site"));
  CHECK(desk::comes_from_another_site("Cross-Site"));
  CHECK_FALSE(desk::comes_from_another_site(""));
  CHECK_FALSE(desk::comes_from_another_site("none"));
  CHECK_FALSE(desk::comes_from_another_site("same-origin"));
}
