// Tests milter/net/proxy_protocol against the bytes that the specification draws.
#include "milter/net/proxy_protocol.h"

#include <catch2/catch.hpp>
#include <string>

using net::Endpoint;

namespace {

std::string hex(const std::string& bytes) {
  std::string out;
  for (const unsigned char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Endpoint at(const char* text) {
  const auto endpoint = Endpoint::parse(text);
  REQUIRE(endpoint);
  return *endpoint;
}

constexpr char kSignature[] = "0d0a0d0a000d0a515549540a";

}  // namespace

TEST_CASE("version 2 of an IPv4 client is 28 bytes in network order") {
  const auto header = net::proxy_v2(at("192.0.2.7:40112"), at("198.51.100.1:25"));
  CHECK(header.size() == 28);
  CHECK(hex(header) == std::string(kSignature) +
                           "21"
                           "11"
                           "000c"
                           "c0000207"
                           "c6336401"
                           "9cb0"
                           "0019");
}

TEST_CASE("version 2 of an IPv6 client is 52 bytes") {
  const auto header = net::proxy_v2(at("[2001:db8::7]:1"), at("[2001:db8::1]:25"));
  CHECK(header.size() == 52);
  CHECK(hex(header) == std::string(kSignature) +
                           "21"
                           "21"
                           "0024"
                           "20010db8000000000000000000000007"
                           "20010db8000000000000000000000001"
                           "0001"
                           "0019");
}

TEST_CASE("version 2 with unlike families maps the IPv4 side") {
  const auto header = net::proxy_v2(at("192.0.2.7:1"), at("[2001:db8::1]:25"));
  CHECK(hex(header) == std::string(kSignature) +
                           "21"
                           "21"
                           "0024"
                           "00000000000000000000ffffc0000207"
                           "20010db8000000000000000000000001"
                           "0001"
                           "0019");
}

TEST_CASE("version 1 is a line of text") {
  CHECK(net::proxy_v1(at("192.0.2.7:40112"), at("198.51.100.1:25")) ==
        "PROXY TCP4 192.0.2.7 198.51.100.1 40112 25\r\n");
  CHECK(net::proxy_v1(at("[2001:db8::7]:1"), at("[2001:db8::1]:25")) ==
        "PROXY TCP6 2001:db8::7 2001:db8::1 1 25\r\n");
  CHECK(net::proxy_v1(at("192.0.2.7:1"), at("[2001:db8::1]:25")) ==
        "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 25\r\n");
}
