#include "milter/net/sockets.h"

#include <catch2/catch.hpp>

#include "tests/support/loopback.h"

using namespace net;

TEST_CASE("listening sockets as /proc/net/tcp shows them") {
  const auto sockets = parse_tcp(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
      "inode\n"
      "   0: 00000000:0019 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
      "1546 1 00000000a05bb4fe 100 0 0 10 0\n"
      "   1: 0100007F:2729 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 "
      "77 "
      "1\n"
      "   2: 0100007F 0100007F:9C40 01\n"
      "   3: 0100007F:XXXX 0100007F:9C40 01 0 0 0 0 0 77\n",
      false);
  REQUIRE(sockets.size() == 2);
  CHECK(sockets[0] == TcpSocket{*net::Endpoint::parse("0.0.0.0:25"), 10, 1546});
  CHECK(sockets[1] == TcpSocket{*net::Endpoint::parse("127.0.0.1:10025"), 1, 77});
}

TEST_CASE("listening sockets as /proc/net/tcp6 shows them") {
  const auto sockets = parse_tcp(
      "   0: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A "
      "00000000:00000000 00:00000000 00000000     0        0 5 1\n",
      true);
  REQUIRE(sockets.size() == 1);
  CHECK(sockets[0].local.print() == "[::1]:25");
}

TEST_CASE("unix sockets are read, also with blanks in their paths") {
  const auto sockets = parse_unix(
      "Num       RefCount Protocol Flags    Type St Inode Path\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01  1542 /run/a b.sock\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03  1543\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03  1544 /run/a b.sock\n");
  REQUIRE(sockets.size() == 2);
  CHECK(sockets[0] == UnixSocket{1, true, 1542, "/run/a b.sock"});
  CHECK(sockets[1] == UnixSocket{3, false, 1544, "/run/a b.sock"});
}

TEST_CASE("a listener of this process is found, with this process as its owner") {
  const auto listener = support::listen_on();
  for (const auto& socket : tcp_sockets()) {
    if (socket.local != listener.address) continue;
    CHECK(socket.state == 10);
    const auto found = owners(socket.inode);
    REQUIRE(found.size() == 1);
    CHECK(found[0].pid == getpid());
    CHECK(found[0].program == "net_sockets_test");
    CHECK_FALSE(found[0].is_segmilter());
    CHECK(holds_bpf(getpid()) == std::optional(false));
    return;
  }
  FAIL("the listener is not in /proc/net/tcp");
}
