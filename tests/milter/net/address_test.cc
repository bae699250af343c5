// Addresses as Postfix, configurations and sockets write them.
#include "milter/net/address.h"

#include <fmt/format.h>

#include <catch2/catch.hpp>
#include <set>
#include <vector>

using net::Endpoint;
using net::Network;

TEST_CASE("an address with a port is read and printed the same") {
  for (const auto* text : {"192.0.2.7:25", "0.0.0.0:0", "255.255.255.255:65535", "[2001:db8::1]:25",
                           "[::]:25", "[::1]:65535"}) {
    INFO(text);
    const auto endpoint = Endpoint::parse(text);
    REQUIRE(endpoint);
    CHECK(endpoint->print() == text);
  }
}

TEST_CASE("near misses of an address with a port are refused") {
  const std::pair<const char*, const char*> rows[] = {
      {"empty", ""},
      {"no port", "192.0.2.7"},
      {"empty port", "192.0.2.7:"},
      {"port too large", "192.0.2.7:65536"},
      {"negative port", "192.0.2.7:-1"},
      {"port with a sign", "192.0.2.7:+25"},
      {"port and more", "192.0.2.7:25 "},
      {"a name", "localhost:25"},
      {"three numbers", "192.0.2:25"},
      {"a number too large", "192.0.2.256:25"},
      {"a number in octal", "192.0.2.07:25"},
      {"IPv6 without brackets", "2001:db8::1:25"},
      {"IPv4 in brackets", "[192.0.2.7]:25"},
      {"half of a bracket", "[2001:db8::1:25"},
      {"nothing in brackets", "[]:25"},
      {"a zone", "[fe80::1%eth0]:25"},
      {"longer than any address", "[2001:db8:0000:0000:0000:0000:0000:0000:0000:0001:0001]:25"},
  };
  for (const auto& [label, text] : rows) {
    INFO(label);
    CHECK_FALSE(Endpoint::parse(text));
  }
}

TEST_CASE("endpoints of one network spread over the buckets as evenly as random ones") {
  // Random keys would use about 63 % of the buckets, 2589 of 4096.
  for (const char* pattern : {"192.0.2.7:{}", "[2001:db8::{:x}]:25", "[2001:db8:{:x}::1]:25"}) {
    std::set<std::size_t> used;
    for (int i = 1; i <= 4096; ++i) {
      const auto endpoint = Endpoint::parse(fmt::format(fmt::runtime(pattern), i));
      used.insert(std::hash<Endpoint>()(*endpoint) % 4096);
    }
    CHECK(used.size() > 2300);
  }
}

TEST_CASE("a zero byte does not cut an address short") {
  CHECK_FALSE(Endpoint::parse(std::string_view("192.0.2.7\0x:25", 14)));
  CHECK_FALSE(Endpoint::parse_address(std::string_view("192.0.2.7\0x", 11), 25));
  CHECK_FALSE(Network::parse(std::string_view("192.0.2.0\0x/24", 14)));
}

TEST_CASE("Postfix's {client_addr} is read with and without its prefix") {
  struct Row {
    const char* text;
    const char* printed;
  };
  for (const Row& row :
       {Row{"192.0.2.7", "192.0.2.7"}, Row{"2001:db8::1", "2001:db8::1"},
        Row{"IPv6:2001:db8::1", "2001:db8::1"}, Row{"::ffff:192.0.2.7", "192.0.2.7"}}) {
    INFO(row.text);
    const auto endpoint = Endpoint::parse_address(row.text, 40112);
    REQUIRE(endpoint);
    CHECK(endpoint->print_address() == row.printed);
    CHECK(endpoint->port() == 40112);
  }
  for (const auto* text : {"", "unknown", "IPv6:", "[2001:db8::1]", "192.0.2.7:25"}) {
    INFO(text);
    CHECK_FALSE(Endpoint::parse_address(text, 1));
  }
}

TEST_CASE("an IPv4 client is one key, whichever form a socket reports") {
  sockaddr_storage v4{};
  Endpoint::parse("192.0.2.7:40112")->fill(v4);
  CHECK(v4.ss_family == AF_INET);
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = htons(40112);
  const auto expected = Endpoint::parse("[::ffff:192.0.2.7]:40112");
  REQUIRE(expected);
  std::copy(expected->bytes().begin(), expected->bytes().end(), mapped.sin6_addr.s6_addr);
  const auto plain = Endpoint::from(reinterpret_cast<const sockaddr*>(&v4));
  const auto dual = Endpoint::from(reinterpret_cast<const sockaddr*>(&mapped));
  REQUIRE(plain);
  CHECK(plain == dual);
  CHECK(std::hash<Endpoint>()(*plain) == std::hash<Endpoint>()(*dual));
}

TEST_CASE("fill and from reverse each other") {
  for (const auto* text : {"192.0.2.7:25", "[2001:db8::1]:25"}) {
    sockaddr_storage storage;
    const auto endpoint = Endpoint::parse(text);
    const auto length = endpoint->fill(storage);
    CHECK(length == (endpoint->is_v4() ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)));
    CHECK(Endpoint::from(reinterpret_cast<const sockaddr*>(&storage)) == endpoint);
  }
}

TEST_CASE("a null address, and one of another family, give nothing") {
  CHECK_FALSE(Endpoint::from(nullptr));
  sockaddr_storage unix_socket{};
  unix_socket.ss_family = AF_UNIX;
  CHECK_FALSE(Endpoint::from(reinterpret_cast<const sockaddr*>(&unix_socket)));
}

TEST_CASE("only 127.0.0.0/8 and ::1 are loopback") {
  for (const auto* text : {"127.0.0.1:1", "127.255.255.255:1", "[::1]:1", "[::ffff:127.0.0.1]:1"}) {
    INFO(text);
    CHECK(Endpoint::parse(text)->is_loopback());
  }
  for (const auto* text : {"126.255.255.255:1", "128.0.0.1:1", "[::2]:1", "[::]:1", "0.0.0.0:1"}) {
    INFO(text);
    CHECK_FALSE(Endpoint::parse(text)->is_loopback());
  }
}

TEST_CASE("a site is one IPv4 address or one IPv6 /64") {
  const auto site = [](const char* text) { return Endpoint::parse(text)->site(); };
  CHECK(site("192.0.2.7:1") == site("192.0.2.7:2"));
  CHECK(site("192.0.2.7:1") != site("192.0.2.8:1"));
  CHECK(site("[2001:db8:0:1::1]:1") == site("[2001:db8:0:1:ffff::]:9"));
  CHECK(site("[2001:db8:0:1::1]:1") != site("[2001:db8:0:2::1]:1"));
}

TEST_CASE("a network contains its first and its last address, and not their neighbours") {
  struct Row {
    const char* network;
    std::set<const char*> in, out;
  };
  const Row rows[] = {
      {"192.0.2.0/24", {"192.0.2.0", "192.0.2.255"}, {"192.0.1.255", "192.0.3.0", "2001:db8::1"}},
      {"192.0.2.128/25", {"192.0.2.128", "192.0.2.255"}, {"192.0.2.127"}},
      {"192.0.2.7/32", {"192.0.2.7"}, {"192.0.2.6", "192.0.2.8"}},
      {"192.0.2.7", {"192.0.2.7"}, {"192.0.2.6", "192.0.2.8"}},
      {"0.0.0.0/0", {"0.0.0.0", "255.255.255.255"}, {"::1", "2001:db8::1"}},
      {"2001:db8::/32",
       {"2001:db8::", "2001:db8:ffff::1"},
       {"2001:db9::", "2001:db7::", "192.0.2.1"}},
      {"2001:db8::8/125", {"2001:db8::8", "2001:db8::f"}, {"2001:db8::7", "2001:db8::10"}},
      {"::/0", {"::", "ffff::", "192.0.2.1"}, {}},
  };
  for (const auto& row : rows) {
    INFO(row.network);
    const auto network = Network::parse(row.network);
    REQUIRE(network);
    const auto has = [&](const char* text) {
      return network->contains(*Endpoint::parse_address(text, 25));
    };
    for (const auto* text : row.in) CHECK(has(text));
    for (const auto* text : row.out) CHECK_FALSE(has(text));
  }
}

TEST_CASE("an address is in a list of networks if one of them contains it") {
  const std::vector<Network> list = {*Network::parse("192.0.2.0/24"),
                                     *Network::parse("2001:db8::/32")};
  const auto in_list = [&](const char* text) {
    return net::contains(list, *Endpoint::parse_address(text, 25));
  };
  CHECK(in_list("192.0.2.7"));
  CHECK(in_list("2001:db8::7"));
  CHECK_FALSE(in_list("192.0.3.7"));
  CHECK_FALSE(in_list("2001:db9::7"));
  CHECK_FALSE(net::contains({}, *Endpoint::parse_address("192.0.2.7", 25)));
}

TEST_CASE("networks are printed in the form that is read") {
  for (const auto* text :
       {"192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32", "192.0.2.7/32", "::1/128"}) {
    CHECK(Network::parse(text)->print() == text);
  }
}

TEST_CASE("a network is of IPv4 when all of its addresses are") {
  for (const auto* text : {"192.0.2.0/24", "0.0.0.0/0", "192.0.2.7", "::ffff:192.0.2.7"}) {
    INFO(text);
    CHECK(Network::parse(text)->is_v4());
  }
  for (const auto* text : {"2001:db8::/32", "::/0", "::/64", "::1"}) {
    INFO(text);
    CHECK_FALSE(Network::parse(text)->is_v4());
  }
}

TEST_CASE("near misses of a network are refused") {
  for (const auto* text : {"", "/24", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.1/24",
                           "2001:db8::1/32", "2001:db8::/129", "192.0.2.0/24/8", "[2001:db8::]/32",
                           "example.org/24", "192.0.2.0/255.255.255.0", "192.0.2.0 /24"}) {
    INFO(text);
    CHECK_FALSE(Network::parse(text));
  }
}
