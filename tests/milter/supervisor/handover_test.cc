#include "milter/supervisor/handover.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "milter/net/fd.h"
#include "milter/process/setup_error.h"
#include "tests/support/loopback.h"

using supervisor::Handover;
using supervisor::parse_handover;

TEST_CASE("a handover that was printed is parsed to the same value") {
  const Handover rows[] = {
      {{{7}}, {}, {}, {}},
      {{{7, 8}, {9, 10}}, {11, 12}, {13}, {4711, 4712}},
      {{{7, 8}, {9, 10}}, {}, {13, 14}, {1}},
      {{{7, 8}, {9, 10}}, {11, 12}, {}, {}, {{13, 14}, {15, 16}}},
      {{{7}}, {}, {}, {}, {}, 17},
      {{{7}}, {}, {}, {}, {{8}}, 17},
  };
  for (const Handover& row : rows) {
    INFO(print(row));
    CHECK(parse_handover(print(row)) == row);
  }
  CHECK(print(rows[1]) == "2 listeners=7,8/9,10 rings=11,12 desk=13 children=4711,4712");
  CHECK(print(rows[3]) == "2 listeners=7,8/9,10 rings=11,12 desk= children= sources=13,14/15,16");
}

TEST_CASE("a text that is nearly a handover is refused") {
  const char* rows[] = {
      "",
      "1",
      "9 listeners=7 rings= desk= children=",                          // another version
      "2 listeners= rings= desk= children=",                           // nothing to listen on
      "2 listeners=7 rings= desk=",                                    // cut off
      "2 listeners=7 rings= children=",                                // without a desk
      "2 listeners=7 children= rings= desk=",                          // another order
      "2 listeners=7 rings= desk= children= more",                     // more text
      "2 listeners=7/ rings= desk= children=,",                        // a number is missing
      "2 listeners=7//8 rings= desk= children=",                       // a worker without a socket
      "2 listeners=7,x rings= desk= children=",                        //
      "2 listeners=-7 rings= desk= children=",                         //
      "2 listeners=0 rings= desk= children=",                          // standard input
      "2 listeners=99999999999 rings= desk= children=",                //
      "2 listeners=7/8 rings=9 desk= children=",                       // fewer rings than workers
      "2 listeners=7 rings= desk=0 children=",                         // standard input
      "2 listeners=7 rings= desk= children= sources=8/9",              // more sources than workers
      "2 listeners=7 rings= desk= children= sources=0",                // standard input
      "2 listeners=7 rings= desk= children= sources=8 9",              // more text
      "2 listeners=7 rings= desk= children= reputations=0",            // standard input
      "2 listeners=7 rings= desk= children= reputations=8,9",          // two tables
      "2 listeners=7 rings= desk= children= reputations=8 sources=9",  // another order
      "2 listeners=7 rings= desk= children= sources=9 reputations=8 x",  // more text
      "2  listeners=7 rings= desk= children=",                           //
  };
  for (const char* row : rows) {
    INFO(row);
    CHECK_FALSE(parse_handover(row));
  }
}

TEST_CASE("sockets are adopted in the order of their addresses, and some addresses may have none") {
  const auto first = support::listen_on();
  const auto second = support::listen_on();
  const auto none = *net::Endpoint::parse("[::1]:25");
  const std::vector<net::Endpoint> addresses = {none, first.address, none, second.address};
  const auto copy = [](const support::Listener& listener) { return dup(listener.fd.get()); };
  const auto adopted =
      supervisor::adopt_listeners({copy(first), copy(second)}, addresses, "proxy.listen");
  REQUIRE(adopted.size() == 2);
  CHECK((fcntl(adopted[0].get(), F_GETFD) & FD_CLOEXEC) != 0);
  const int one = first.fd.get();
  const int two = second.fd.get();
  CHECK_THROWS_AS(supervisor::adopt_listeners({two, one}, addresses, "proxy.listen"),
                  process::SetupError);
  CHECK_THROWS_AS(supervisor::adopt_listeners({one, one}, addresses, "proxy.listen"),
                  process::SetupError);
  CHECK_THROWS_AS(supervisor::adopt_listeners({one}, {none}, "proxy.listen"), process::SetupError);
}

TEST_CASE("a handover passes through the environment, once, and with its descriptors") {
  const net::Fd socket(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const net::Fd ring(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const net::Fd desk(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Handover handover{{{socket.get()}}, {ring.get()}, {desk.get()}, {4711}};
  supervisor::leave_handover(handover);
  CHECK(fcntl(socket.get(), F_GETFD) == 0);
  CHECK(fcntl(ring.get(), F_GETFD) == 0);
  CHECK(fcntl(desk.get(), F_GETFD) == 0);
  CHECK(supervisor::take_handover() == handover);
  CHECK_FALSE(supervisor::take_handover());
}

TEST_CASE("if there is no next program, the handover is taken back") {
  const net::Fd socket(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const net::Fd ring(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const net::Fd desk(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Handover handover{{{socket.get()}}, {ring.get()}, {desk.get()}, {}};
  supervisor::leave_handover(handover);
  supervisor::take_back_handover(handover);
  for (const auto* fd : {&socket, &ring, &desk}) CHECK(fcntl(fd->get(), F_GETFD) == FD_CLOEXEC);
  CHECK(getenv("SEGMILTER_HANDOVER") == nullptr);
}
