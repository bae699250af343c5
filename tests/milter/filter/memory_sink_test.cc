#include "milter/filter/memory_sink.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

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

Record judged() {
  Record record;
  record.sighting = memory::bot_sighting();
  record.helo = "dotless";
  return record;
}

// How many datagrams wait in the socket.
unsigned received(const net::Fd& memory) {
  std::string buffer(memory::kMostBytes, '\0');
  unsigned count = 0;
  while (recv(memory.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) > 0) ++count;
  return count;
}

}  // namespace

TEST_CASE("memory is told of a judged message, in one datagram without a name or a text") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  sink.take(judged(), {});
  CHECK(counters.sent == 0);  // not in the path of the mail
  CHECK(sink.send_waiting());
  char buffer[memory::kMostBytes];
  const auto size = recv(pair.memory.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  REQUIRE(size > 0);
  const std::string bytes(buffer, static_cast<std::size_t>(size));
  const auto sighting = memory::from_bytes(bytes);
  REQUIRE(sighting);
  CHECK(sighting->queue_id == "4abcDEF");
  CHECK(bytes.find("dotless") == bytes.npos);
  CHECK(counters.sent == 1);
  CHECK(received(pair.memory) == 0);
}

TEST_CASE("messages that were not judged are not remembered") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  auto exempt = judged();
  exempt.exempt = filter::Exemption::OwnNetwork;
  sink.take(exempt, {});
  auto flood = judged();
  flood.flood = true;
  sink.take(flood, {});
  CHECK(sink.send_waiting());
  CHECK(counters.sent == 0);
  CHECK(received(pair.memory) == 0);
}

TEST_CASE("a started sink sends by itself, and what still waits when it stops") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  sink.start();
  sink.take(judged(), {});
  pollfd entry{pair.memory.get(), POLLIN, 0};
  CHECK(poll(&entry, 1, 10'000) == 1);
  for (int i = 0; i < 20; ++i) sink.take(judged(), {});
  sink.stop();
  CHECK(counters.sent == 21);
  CHECK(received(pair.memory) == 21);
}

TEST_CASE("messages of several threads are all sent") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  sink.start();
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&sink] {
      for (int j = 0; j < 25; ++j) sink.take(judged(), {});
    });
  }
  for (auto& thread : threads) thread.join();
  sink.stop();
  CHECK(counters.sent == 100);
  CHECK(received(pair.memory) == 100);
}

TEST_CASE("messages that are handed over after the end are counted") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  sink.stop();
  sink.take(judged(), {});
  CHECK(counters.dropped_gone == 1);
  CHECK(received(pair.memory) == 0);
}

TEST_CASE("while the socket is full the next messages wait, and are sent when it is read") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  // The socket is a blocking one: if the sink let a send wait, it would never return.
  REQUIRE((fcntl(pair.filter.get(), F_GETFL) & O_NONBLOCK) == 0);
  unsigned taken = 0;
  do {
    sink.take(judged(), {});
    ++taken;
  } while (sink.send_waiting() && taken < 100'000);
  CHECK(counters.sent == taken - 1);
  CHECK(counters.dropped_full == 0);
  CHECK(received(pair.memory) == taken - 1);
  CHECK(sink.send_waiting());
  CHECK(received(pair.memory) == 1);
}

TEST_CASE("what may wait has a limit, in messages and in the segments of their traces") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  SECTION("messages") {
    for (std::size_t i = 0; i < MemorySink::kMostSightings + 3; ++i) sink.take(judged(), {});
    CHECK(counters.dropped_full == 3);
  }
  SECTION("segments and records") {
    auto large = judged();
    large.sighting.trace.segments.resize(MemorySink::kMostPieces / 4);
    large.sighting.trace.records.resize(MemorySink::kMostPieces / 4);
    for (int i = 0; i < 5; ++i) sink.take(large, {});
    CHECK(counters.dropped_full == 3);
    sink.take(judged(), {});
    CHECK(counters.dropped_full == 4);
  }
}

TEST_CASE("a place in the queue is free again when its message is sent") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  auto large = judged();
  large.sighting.trace.segments.resize(MemorySink::kMostPieces);
  for (auto& segment : large.sighting.trace.segments) segment.size = 1448;
  for (int i = 0; i < 3; ++i) {
    sink.take(large, {});
    CHECK(sink.send_waiting());
    CHECK(received(pair.memory) == 1);
  }
  CHECK(counters.dropped_full == 0);
}

TEST_CASE("each message is sent as it is, also in a copy that was used before") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  auto first = judged();
  first.sighting.listener = "submission-of-the-other-house";
  first.sighting.trace.records = {{.size = 16384}, {.size = 300}};
  auto second = judged();
  for (const auto* record : {&first, &second, &first, &second}) {
    sink.take(*record, {});
    CHECK(sink.send_waiting());
    std::string buffer(memory::kMostBytes, '\0');
    const auto size = recv(pair.memory.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    REQUIRE(size > 0);
    buffer.resize(static_cast<std::size_t>(size));
    CHECK(buffer == memory::to_bytes(record->sighting));
  }
}

TEST_CASE(
    "a memory process that does not read delays the end by about a second, and what is left is "
    "counted") {
  const Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  sink.start();
  unsigned taken = 0;
  do {
    sink.take(judged(), {});
    ++taken;
  } while (counters.dropped_full == 0 && taken < 1'000'000);
  sink.stop();
  CHECK(counters.sent > 10);
  CHECK(counters.sent + counters.dropped_full == taken);
}

TEST_CASE("messages that are lost because memory is gone are counted separately") {
  Pair pair;
  memory::Counters counters;
  MemorySink sink(pair.filter.get(), counters);
  pair.memory.reset();
  sink.take(judged(), {});
  CHECK(sink.send_waiting());
  CHECK(counters.dropped_gone == 1);
  CHECK(counters.dropped_full == 0);
}
