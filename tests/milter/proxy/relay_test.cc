// Tests milter/proxy/relay: one direction over real socket pairs. The most important property:
// bytes out equal bytes in, wherever they are cut.
#include "milter/proxy/relay.h"

#include <fcntl.h>
#include <rapidcheck.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "milter/net/fd.h"

namespace {

// writer ── source ── Relay ── sink ── reader, all non-blocking, with small kernel buffers so that
// the sink is often full.
struct Line {
  net::Fd writer, source, sink, reader;
  proxy::Relay relay;
  std::array<char, 512> scratch;
  std::string delivered;
  bool ended = false;

  explicit Line(int buffer_bytes = 4096) {
    pair(writer, source, buffer_bytes);
    pair(sink, reader, buffer_bytes);
  }

  static void pair(net::Fd& one, net::Fd& other, int buffer_bytes) {
    int fds[2];
    net::check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), "socketpair");
    for (const int fd : fds) {
      setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
    }
    one = net::Fd(fds[0]);
    other = net::Fd(fds[1]);
  }

  // One turn of the loop: does what a session does when its sockets are ready.
  void turn(std::size_t scratch_size = 512) {
    if (relay.wants_write() || relay.state() == proxy::Relay::State::Flushing) {
      relay.flush(sink.get());
    }
    if (!relay.wants_read()) return;
    std::span<const char> bytes;
    if (relay.read(source.get(), {scratch.data(), scratch_size}, bytes) ==
        proxy::Relay::Read::Bytes) {
      relay.write(sink.get(), bytes);
    }
  }

  // The reader receives at most `most` bytes.
  void take(std::size_t most) {
    std::string buffer(most, '\0');
    const ssize_t got = recv(reader.get(), buffer.data(), most, 0);
    if (got > 0) delivered.append(buffer, 0, static_cast<std::size_t>(got));
    if (got == 0) ended = true;
  }
};

std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

}  // namespace

TEST_CASE("bytes out equal bytes in, wherever they are cut and however slow the reader is") {
  REQUIRE(rc::check([] {
    Line line;
    const std::string all = noise(*rc::gen::inRange<std::size_t>(0, 60'000), 7);
    std::size_t sent = 0;
    bool closed = false;
    // The generator chooses who acts next, and with how many bytes. A limit keeps a bug from making
    // it hang.
    for (int step = 0; step < 200'000 && !line.ended; ++step) {
      const int who = step < 3000 ? *rc::gen::inRange(0, 3) : step % 3;
      const auto size = step < 3000 ? *rc::gen::inRange<std::size_t>(1, 2000) : 2000;
      if (who == 0 && sent < all.size()) {
        const ssize_t put = send(line.writer.get(), all.data() + sent,
                                 std::min(size, all.size() - sent), MSG_NOSIGNAL);
        if (put > 0) sent += static_cast<std::size_t>(put);
      } else if (who == 1) {
        line.turn(1 + size % 512);
      } else if (who == 2) {
        line.take(size);
      }
      if (sent == all.size() && !closed) {
        closed = true;
        shutdown(line.writer.get(), SHUT_WR);
      }
    }
    RC_ASSERT(line.ended);
    RC_ASSERT(line.delivered == all);
  }));
}

TEST_CASE("a slow reader stops the reading, and no more than one read is kept") {
  Line line;
  const std::string all = noise(400'000, 1);
  std::size_t sent = 0;
  for (int turn = 0; turn < 10'000; ++turn) {
    const ssize_t put = send(line.writer.get(), all.data() + sent, all.size() - sent, MSG_NOSIGNAL);
    if (put > 0) sent += static_cast<std::size_t>(put);
    line.turn();
    REQUIRE(line.relay.backlog() <= line.scratch.size());
  }
  CHECK_FALSE(line.relay.wants_read());
  CHECK(line.relay.wants_write());
  CHECK(sent < all.size());
}

TEST_CASE("the source's end is passed on after the last byte") {
  Line line;
  REQUIRE(send(line.writer.get(), "221 bye\r\n", 9, 0) == 9);
  shutdown(line.writer.get(), SHUT_WR);
  for (int i = 0; i < 4; ++i) line.turn();
  CHECK(line.relay.state() == proxy::Relay::State::Done);
  line.take(100);
  CHECK(line.delivered == "221 bye\r\n");
  line.take(100);
  CHECK(line.ended);
}

TEST_CASE("a sink that is gone breaks the relay and nothing else") {
  Line line;
  line.reader.reset();
  REQUIRE(send(line.writer.get(), "x", 1, 0) == 1);
  line.turn();
  CHECK(line.relay.state() == proxy::Relay::State::Broken);
  CHECK(line.relay.over());
  CHECK_FALSE(line.relay.wants_read());
  CHECK_FALSE(line.relay.wants_write());
}
