#include "milter/reputation/forget.h"

#include <catch2/catch.hpp>

#include <sys/stat.h>

#include <cstdio>
#include <fstream>

#include "tests/support/table_file.h"

using namespace reputation;

namespace {

// Which of a client's entries are about `who`: "network address gait".
std::string about(const Keys& keys, std::string_view who, std::string_view address) {
  const auto unwanted = entries_of(keys, *net::Network::parse(who));
  const auto origin = keys.origin(client(address), "postfix", 64500);
  CHECK_FALSE(unwanted({.key = kSite}));
  CHECK_FALSE(unwanted({.key = *origin.asn}));
  std::string found;
  if (unwanted({.key = origin.network})) found += "network ";
  if (unwanted({.key = *origin.address})) found += "address ";
  if (unwanted({.key = *origin.gait})) found += "gait ";
  return found;
}

struct Row {
  const char* who;
  const char* client;
  const char* forgotten;
};

}  // namespace

TEST_CASE("an entry is about its own client, and entries of neighbours are not") {
  const Row rows[] = {
      {"192.0.2.7", "192.0.2.7", "address "},
      {"192.0.2.7", "192.0.2.8", ""},
      {"192.0.2.0/24", "192.0.2.7", "network address gait "},
      {"192.0.2.0/25", "192.0.2.7", "address "},
      {"192.0.2.0/25", "192.0.2.200", ""},
      {"192.0.0.0/16", "192.0.2.7", "network address gait "},
      {"192.0.3.0/24", "192.0.2.7", ""},
      {"0.0.0.0/0", "192.0.2.7", "network address gait "},
      {"0.0.0.0/0", "2001:db8:1:2::7", ""},
      {"2001:db8:1:2::7", "2001:db8:1:2::7", "address "},
      {"2001:db8:1:2::9", "2001:db8:1:2::7", "address "},  // the same /64
      {"2001:db8:1:3::7", "2001:db8:1:2::7", ""},
      {"2001:db8:1::/48", "2001:db8:1:2::7", "network address gait "},
      {"2001:db8::/32", "2001:db8:1:2::7", "network address gait "},
      {"2001:db8:2::/48", "2001:db8:1:2::7", ""},
  };
  const Keys keys{config::Memory{}};
  for (const Row& row : rows) {
    INFO(row.who << " and " << row.client);
    CHECK(about(keys, row.who, row.client) == row.forgotten);
  }
}

TEST_CASE("keyed: an address, an IPv4 /24 and an IPv6 /48 are found") {
  char name[] = "/tmp/segmilter-key-XXXXXX";
  const net::Fd fd(mkstemp(name));
  (void)fchmod(fd.get(), 0600);
  std::ofstream(name) << "k:00112233445566778899aabbccddeeff\n";
  const Keys keys({.addresses = config::Memory::Addresses::Keyed, .key_file = name});
  std::remove(name);
  const Row rows[] = {
      {"192.0.2.7", "192.0.2.7", "address "},
      {"192.0.2.7", "192.0.2.8", ""},
      {"192.0.2.0/24", "192.0.2.255", "network address gait "},
      {"192.0.3.0/24", "192.0.2.7", ""},
      {"2001:db8:1::/48", "2001:db8:1:fffe::7", "network address gait "},
      {"192.0.0.0/16", "192.0.2.7", ""},
  };
  for (const Row& row : rows) {
    INFO(row.who << " and " << row.client);
    CHECK(about(keys, row.who, row.client) == row.forgotten);
  }
}
