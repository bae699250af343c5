// The rest of it is tested where rows are written (store_test.cc), found and forgotten.
#include "milter/memory/address_form.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>

using memory::print_network;

namespace {

net::Network network(const std::string& text) {
  const auto found = net::Network::parse(text);
  REQUIRE(found);
  return *found;
}

}  // namespace

TEST_CASE("rows have networks of one size") {
  for (const char* text : {"192.0.2.0/24", "2001:db8:1::/48", "2001:0DB8:1:0::/48", "::/48"}) {
    INFO(text);
    CHECK(memory::is_row_network(network(text)));
  }
  for (const char* text : {"192.0.2.0/25", "192.0.2.0/23", "192.0.2.7", "192.0.2.7/32", "0.0.0.0/0",
                           "2001:db8:2::/47", "2001:db8:1::/49", "2001:db8:1::1", "::/0"}) {
    INFO(text);
    CHECK_FALSE(memory::is_row_network(network(text)));
  }
}

TEST_CASE("the texts of the networks in a network begin alike") {
  struct Row {
    const char* who;
    const char* begin;
  };
  const Row rows[] = {
      {"192.0.2.7", "192.0.2."},
      {"192.0.2.0/25", "192.0.2."},
      {"192.0.2.0/24", "192.0.2."},
      {"192.0.2.0/23", "192.0."},
      {"192.0.0.0/15", "192."},
      {"192.0.0.0/8", "192."},
      {"192.0.0.0/7", ""},
      {"0.0.0.0/0", ""},
      {"0.0.0.0/8", "0."},
      {"2001:db8::/32", "2001:"},
      {"2001::/16", "2001:"},
      {"2000::/15", ""},
      {"2001:db8::7", "2001:"},
      {"::/0", ""},
      {"::/64", ""},
      {"::1", ""},
  };
  for (const Row& row : rows) {
    INFO(row.who);
    CHECK(memory::row_network_begin(network(row.who)) == row.begin);
  }
}

TEST_CASE("a client's network begins like each network that the client is in") {
  std::mt19937 random(20261127);
  for (int i = 0; i < 20'000; ++i) {
    std::array<std::uint8_t, 16> bytes{};
    for (auto& byte : bytes) byte = random() % 3 == 0 ? 0 : static_cast<std::uint8_t>(random());
    if (i % 2 == 0) {
      std::fill(bytes.begin(), bytes.begin() + 10, std::uint8_t{0});
      bytes[10] = bytes[11] = 0xff;
    }
    const auto client = net::Endpoint::from_bytes(bytes, 0);
    const int least = client.is_v4() ? 96 : 0;
    const int bits = least + static_cast<int>(random() % static_cast<unsigned>(129 - least));
    auto first = bytes;
    for (int bit = bits; bit < 128; ++bit) {
      auto& byte = first[static_cast<std::size_t>(bit / 8)];
      byte = static_cast<std::uint8_t>(byte & ~(0x80 >> bit % 8));
    }
    const auto who = network(net::Endpoint::from_bytes(first, 0).print_address() + "/" +
                             std::to_string(bits - least));
    REQUIRE(who.contains(client));
    INFO(who.print() << " " << client.print_address());
    CHECK(print_network(client).starts_with(memory::row_network_begin(who)));
  }
}
