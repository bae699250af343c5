// Tests milter/net/proxy_protocol against the bytes that the specification draws.
#include "milter/net/proxy_protocol.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using net::Endpoint;
using Outcome = net::ProxyHeader::Outcome;

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

std::string from_hex(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    out += static_cast<char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16));
  }
  return out;
}

// A version 2 header: command and family, then the bytes after the length field.
std::string v2(const char* command_and_family, const std::string& block) {
  const auto size = static_cast<unsigned>(block.size());
  std::string out = from_hex(std::string(kSignature) + command_and_family);
  out += static_cast<char>(size >> 8);
  out += static_cast<char>(size & 255);
  return out + block;
}

const std::string kAddresses4 = from_hex("c0000207c63364019cb00019");
const std::string kAddresses6 =
    from_hex("20010db800000000000000000000000720010db800000000000000000000000100010019");

// A TLV of type 0x20 (TLS) with `size` bytes.
std::string tlv(std::size_t size) {
  std::string out = "\x20";
  out += static_cast<char>(size >> 8);
  out += static_cast<char>(size & 255);
  return out + std::string(size, 'x');
}

struct Good {
  const char* what;
  std::string bytes;
  const char* client;  // null: no client is named
  const char* server;
};

std::vector<Good> good() {
  const auto line = [](const char* text) { return std::string(text) + "\r\n"; };
  return {
      {"v1, IPv4", line("PROXY TCP4 192.0.2.7 198.51.100.1 40112 25"), "192.0.2.7:40112",
       "198.51.100.1:25"},
      {"v1, IPv6", line("PROXY TCP6 2001:db8::7 2001:DB8::1 1 25"), "[2001:db8::7]:1",
       "[2001:db8::1]:25"},
      {"v1, IPv4 in IPv6", line("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 25"),
       "192.0.2.7:1", "198.51.100.1:25"},
      {"v1, the highest of everything",
       line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535"), "255.255.255.255:65535",
       "255.255.255.255:65535"},
      {"v1, port 0", line("PROXY TCP4 192.0.2.7 198.51.100.1 0 25"), "192.0.2.7:0",
       "198.51.100.1:25"},
      {"v1, unknown", line("PROXY UNKNOWN"), nullptr, nullptr},
      {"v1, unknown, of 107 bytes",
       line("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535"),
       nullptr, nullptr},
      {"v2, IPv4", v2("2111", kAddresses4), "192.0.2.7:40112", "198.51.100.1:25"},
      {"v2, IPv6", v2("2121", kAddresses6), "[2001:db8::7]:1", "[2001:db8::1]:25"},
      {"v2, IPv4 in IPv6",
       v2("2121", from_hex("00000000000000000000ffffc000020700000000000000000000ffffc6336401"
                           "9cb00019")),
       "192.0.2.7:40112", "198.51.100.1:25"},
      {"v2, an empty TLV", v2("2111", kAddresses4 + tlv(0)), "192.0.2.7:40112", "198.51.100.1:25"},
      {"v2, two TLVs", v2("2121", kAddresses6 + tlv(3) + tlv(300)), "[2001:db8::7]:1",
       "[2001:db8::1]:25"},
      {"v2, 4096 bytes", v2("2111", kAddresses4 + tlv(4096 - 16 - 12 - 3)), "192.0.2.7:40112",
       "198.51.100.1:25"},
      {"v2, local", v2("2000", ""), nullptr, nullptr},
      {"v2, local with addresses, which do not count", v2("2011", kAddresses4), nullptr, nullptr},
      {"v2, local with what is no TLV", v2("2000", "x"), nullptr, nullptr},
      {"v2, unspecified family", v2("2100", "anything"), nullptr, nullptr},
  };
}

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

TEST_CASE("version 2 with two families maps the IPv4 side") {
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

TEST_CASE("a header is read whatever follows it, and each part of it asks for more") {
  for (const auto& row : good()) {
    INFO(row.what);
    for (const std::string behind : {"", "EHLO client.example\r\n", "\r\n", "PROXY "}) {
      const auto header = net::read_proxy_header(row.bytes + behind);
      REQUIRE(header.outcome == Outcome::Complete);
      CHECK(header.size == row.bytes.size());
      CHECK(header.local == (row.client == nullptr));
      if (row.client == nullptr) continue;
      CHECK(header.client.print() == row.client);
      CHECK(header.server.print() == row.server);
    }
    for (std::size_t size = 0; size < row.bytes.size(); ++size) {
      INFO(size);
      CHECK(net::read_proxy_header(std::string_view(row.bytes).substr(0, size)).outcome ==
            Outcome::More);
    }
  }
}

TEST_CASE("a header with one mistake is refused with the reason") {
  struct Row {
    const char* what;
    std::string bytes;
    const char* reason;
  };
  const auto line = [](const char* text) { return std::string(text) + "\r\n"; };
  const char* no_header = "it sent no PROXY header";
  const char* family = "its line does not name TCP4, TCP6 or UNKNOWN";
  const char* words = "its line has too many words";
  const char* address = "its line has a malformed address or port";
  const char* line_end = "its line does not end with CR LF";
  const char* tlv_cut = "a TLV in it is cut short";
  const Row rows[] = {
      {"SMTP", line("EHLO client.example"), no_header},
      {"one byte", "E", no_header},
      {"lower case", "proxy", no_header},
      {"no blank", "PROXYTCP4", no_header},
      {"TLS", "\x16\x03\x01", no_header},
      {"an empty line", "\r\nX", no_header},
      {"a signature with another byte", from_hex("0d0a0d0a000d0a51554954ff"), no_header},
      {"v1, no words", line("PROXY "), family},
      {"v1, family in lower case", line("PROXY tcp4 192.0.2.7 198.51.100.1 1 25"), family},
      {"v1, UDP", line("PROXY UDP4 192.0.2.7 198.51.100.1 1 25"), family},
      {"v1, unknown and more", line("PROXY UNKNOWNS"), family},
      {"v1, two blanks", line("PROXY TCP4  192.0.2.7 198.51.100.1 1 25"), words},
      {"v1, a word too many", line("PROXY TCP4 192.0.2.7 198.51.100.1 1 25 x"), words},
      {"v1, a blank at the end", line("PROXY TCP4 192.0.2.7 198.51.100.1 1 25 "), words},
      {"v1, a word too few", line("PROXY TCP4 192.0.2.7 198.51.100.1 1"), address},
      {"v1, IPv6 as TCP4", line("PROXY TCP4 ::ffff:192.0.2.7 198.51.100.1 1 25"), address},
      {"v1, IPv4 as TCP6", line("PROXY TCP6 192.0.2.7 2001:db8::1 1 25"), address},
      {"v1, as Postfix writes it", line("PROXY TCP6 IPv6:2001:db8::7 2001:db8::1 1 25"), address},
      {"v1, three numbers", line("PROXY TCP4 192.0.2 198.51.100.1 1 25"), address},
      {"v1, a name", line("PROXY TCP4 client.example 198.51.100.1 1 25"), address},
      {"v1, no server", line("PROXY TCP4 192.0.2.7 x 1 25"), address},
      {"v1, port 65536", line("PROXY TCP4 192.0.2.7 198.51.100.1 65536 25"), address},
      {"v1, port 025", line("PROXY TCP4 192.0.2.7 198.51.100.1 1 025"), address},
      {"v1, port -1", line("PROXY TCP4 192.0.2.7 198.51.100.1 -1 25"), address},
      {"v1, port +1", line("PROXY TCP4 192.0.2.7 198.51.100.1 +1 25"), address},
      {"v1, LF alone", "PROXY TCP4 192.0.2.7 198.51.100.1 1 25\n", line_end},
      {"v1, CR alone", "PROXY TCP4 192.0.2.7 198.51.100.1 1 25\rEHLO", line_end},
      {"v1, 108 bytes", "PROXY UNKNOWN " + std::string(92, 'x') + "\r\n",
       "its line is longer than 107 bytes"},
      {"v1, without end", "PROXY " + std::string(101, ' '), "its line is longer than 107 bytes"},
      {"v2, version 1", from_hex(std::string(kSignature) + "11"),
       "its version is not 2 with LOCAL or PROXY"},
      {"v2, command 2", from_hex(std::string(kSignature) + "22"),
       "its version is not 2 with LOCAL or PROXY"},
      {"v2, UDP", v2("2112", kAddresses4), "it announces no TCP connection"},
      {"v2, UNIX", v2("2131", std::string(216, 'x')), "it announces no TCP connection"},
      {"v2, IPv4 of 11 bytes", v2("2111", kAddresses4.substr(1)), "its addresses are cut short"},
      {"v2, IPv6 of 35 bytes", v2("2121", kAddresses6.substr(1)), "its addresses are cut short"},
      {"v2, no addresses", v2("2111", ""), "its addresses are cut short"},
      {"v2, a TLV of two bytes", v2("2111", kAddresses4 + "\x20\x01"), tlv_cut},
      {"v2, a TLV that ends after the header", v2("2111", kAddresses4 + tlv(8).substr(0, 10)),
       tlv_cut},
      {"v2, 4097 bytes", v2("2111", kAddresses4 + tlv(4097 - 16 - 12 - 3)).substr(0, 16),
       "its header is longer than 4096 bytes"},
      {"v2, 64 KB, local", from_hex(std::string(kSignature) + "2000ffff"),
       "its header is longer than 4096 bytes"},
  };
  for (const auto& row : rows) {
    INFO(row.what);
    const auto header = net::read_proxy_header(row.bytes);
    CHECK(header.outcome == Outcome::Refused);
    CHECK(header.reason == row.reason);
  }
}

TEST_CASE("a header that was written is read") {
  const auto client = at("192.0.2.7:40112");
  const auto server = at("[2001:db8::1]:25");
  for (const auto& bytes : {net::proxy_v1(client, server), net::proxy_v2(client, server),
                            net::proxy_v1(client, client), net::proxy_v2(server, server)}) {
    const auto header = net::read_proxy_header(bytes);
    CHECK(header.outcome == Outcome::Complete);
    CHECK((header.client == client || header.client == server));
    CHECK((header.server == server || header.server == client));
  }
}
