#include "milter/filter/memory_sink.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "milter/memory/sighting_bytes.h"
#include "milter/net/fd.h"
#include "tests/support/sightings.h"

using filter::MemorySink;
using filter::Record;

namespace {

struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
    filter = net::Fd(ends[0]);
    memory = net::Fd(ends[1]);
  }
  net::Fd filter;
  net::Fd memory;
};

Record record() {
  Record record;
  record.sighting = memory::bot_sighting();
  record.helo = "dotless";
  return record;
}

}  // namespace

TEST_CASE("memory is told of a judged message, in one datagram without a name or a text") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  sink.take(record(), {});
  char buffer[memory::kMostBytes];
  const auto size = recv(pair.memory.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  REQUIRE(size > 0);
  const std::string bytes(buffer, static_cast<std::size_t>(size));
  const auto sighting = memory::from_bytes(bytes);
  REQUIRE(sighting);
  CHECK(sighting->queue_id == "4abcDEF");
  CHECK(bytes.find("dotless") == bytes.npos);
  CHECK(counters.sent == 1);
  CHECK(recv(pair.memory.get(), buffer, sizeof buffer, MSG_DONTWAIT) == -1);
}

TEST_CASE("messages that were not judged are not remembered") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  auto exempt = record();
  exempt.exempt = filter::Exemption::OwnNetwork;
  sink.take(exempt, {});
  auto flood = record();
  flood.flood = true;
  sink.take(flood, {});
  CHECK(counters.sent == 0);
  char byte = 0;
  CHECK(recv(pair.memory.get(), &byte, 1, MSG_DONTWAIT) == -1);
}

TEST_CASE("a memory that does not read costs the message's record, and no time") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  const auto message = record();
  // The socket blocks, if it were asked to: a send that waits would never return.
  REQUIRE((fcntl(pair.filter.get(), F_GETFL) & O_NONBLOCK) == 0);
  for (int i = 0; i < 5000; ++i) sink.take(message, {});
  CHECK(counters.sent > 10);
  CHECK(counters.dropped_full > 10);
  CHECK(counters.sent + counters.dropped_full == 5000);
}

TEST_CASE("a memory that is gone is counted apart") {
  Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  pair.memory.reset();
  sink.take(record(), {});
  CHECK(counters.dropped_gone == 1);
  CHECK(counters.dropped_full == 0);
}
