#include "milter/supervisor/handover.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>

#include "milter/net/fd.h"

using supervisor::Handover;
using supervisor::parse_handover;

TEST_CASE("what is handed over is read as it is written") {
  const Handover rows[] = {
      {{{7}}, {}, {}},
      {{{7, 8}, {9, 10}}, {11, 12}, {4711, 4712}},
      {{{7, 8}, {9, 10}}, {}, {1}},
  };
  for (const Handover& row : rows) {
    INFO(print(row));
    CHECK(parse_handover(print(row)) == row);
  }
  CHECK(print(rows[1]) == "1 listeners=7,8/9,10 rings=11,12 children=4711,4712");
}

TEST_CASE("what is nearly a handover is none") {
  const char* rows[] = {
      "",
      "1",
      "2 listeners=7 rings= children=",            // of another version
      "1 listeners= rings= children=",             // nothing to listen on
      "1 listeners=7 rings=",                      // cut off
      "1 listeners=7 children= rings=",            // another order
      "1 listeners=7 rings= children= more",       // and more
      "1 listeners=7/ rings= children=,",          // no number
      "1 listeners=7//8 rings= children=",         // a worker without a socket
      "1 listeners=7,x rings= children=",          //
      "1 listeners=-7 rings= children=",           //
      "1 listeners=0 rings= children=",            // standard input
      "1 listeners=99999999999 rings= children=",  //
      "1 listeners=7/8 rings=9 children=",         // fewer rings than workers
      "1  listeners=7 rings= children=",           //
  };
  for (const char* row : rows) {
    INFO(row);
    CHECK_FALSE(parse_handover(row));
  }
}

TEST_CASE("it passes by the environment, once, and with its descriptors") {
  const net::Fd socket(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const net::Fd ring(open("/dev/null", O_RDONLY | O_CLOEXEC));
  const Handover handover{{{socket.get()}}, {ring.get()}, {4711}};
  supervisor::leave_handover(handover);
  CHECK(fcntl(socket.get(), F_GETFD) == 0);
  CHECK(fcntl(ring.get(), F_GETFD) == 0);
  CHECK(supervisor::take_handover() == handover);
  CHECK_FALSE(supervisor::take_handover());
}
