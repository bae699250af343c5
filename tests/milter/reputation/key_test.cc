#include "milter/reputation/key.h"

#include <unistd.h>

#include <sys/stat.h>
#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>

#include "tests/support/table_file.h"

using namespace reputation;

namespace {

Origin origin(const Keys& keys, std::string_view address, std::string_view gait = {}) {
  return keys.origin(client(address), gait, {});
}

}  // namespace

TEST_CASE("a network is an IPv4 /24 or an IPv6 /48, an address an IPv4 address or an IPv6 /64") {
  const Keys keys{config::Memory{}};
  const auto a = origin(keys, "192.0.2.7");
  CHECK(a.network == origin(keys, "192.0.2.200").network);
  CHECK_FALSE(a.network == origin(keys, "192.0.3.7").network);
  CHECK_FALSE(a.address == origin(keys, "192.0.2.8").address);
  const auto b = origin(keys, "2001:db8:1:2::7");
  CHECK(b.address == origin(keys, "2001:db8:1:2::ffff").address);
  CHECK_FALSE(b.address == origin(keys, "2001:db8:1:3::7").address);
  CHECK(b.network == origin(keys, "2001:db8:1:3::7").network);
}

TEST_CASE("no two levels share a key") {
  const Keys keys{config::Memory{}};
  const auto a = keys.origin(client("192.0.2.0"), "postfix", 0xc0000200);
  CHECK_FALSE(*a.address == a.network);
  CHECK_FALSE(*a.gait == a.network);
  CHECK_FALSE(*a.asn == a.network);
  const auto v6 = origin(keys, "c000:200::");
  CHECK_FALSE(*v6.address == *a.address);
  CHECK_FALSE(*a.gait == *keys.origin(client("192.0.2.0"), "exim", {}).gait);
}

TEST_CASE("truncated: there is no level of addresses") {
  const Keys keys({.addresses = config::Memory::Addresses::Truncated});
  CHECK_FALSE(origin(keys, "192.0.2.7").address);
  CHECK(keys.check() == 0);
}

TEST_CASE("keyed: without the file of keys, no key of an entry can be computed") {
  char name[] = "/tmp/segmilter-key-XXXXXX";
  const int fd = mkstemp(name);
  REQUIRE(fd >= 0);
  (void)fchmod(fd, 0600);
  close(fd);
  const auto with_key = [&](std::string_view hex) {
    std::ofstream(name) << "k:" << hex << "\n";
    return Keys({.addresses = config::Memory::Addresses::Keyed, .key_file = name});
  };
  const auto one = with_key("00112233445566778899aabbccddeeff");
  const auto two = with_key("ff112233445566778899aabbccddeeff");
  CHECK_FALSE(origin(one, "192.0.2.7").network ==
              origin(Keys{config::Memory{}}, "192.0.2.7").network);
  CHECK_FALSE(origin(one, "192.0.2.7").network == origin(two, "192.0.2.7").network);
  CHECK(origin(one, "192.0.2.7").network == origin(one, "192.0.2.9").network);
  CHECK_FALSE(origin(one, "192.0.2.7").address == origin(one, "192.0.2.9").address);
  CHECK(one.check() != two.check());
  CHECK(one.check() != 0);
  std::remove(name);
}
