// The client against a scripted server on a real unix socket.
#include "milter/evidence/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <thread>

#include "classifier/trace_text.h"
#include "milter/net/fd.h"

using classifier::Reason;
using classifier::State;
using std::chrono::milliseconds;

namespace {

class Place {
 public:
  Place() { REQUIRE(mkdtemp(directory_) != nullptr); }
  ~Place() {
    unlink(socket().c_str());
    rmdir(directory_);
  }
  std::string socket() const { return std::string(directory_) + "/evidence.sock"; }

 private:
  char directory_[32] = "/tmp/segmilter-test-XXXXXX";
};

net::Fd listen_at(const std::string& path) {
  net::Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  REQUIRE(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(listen(fd.get(), 0) == 0);
  return fd;
}

// Accepts one connection, reads the question, and lets the script answer.
class Server {
 public:
  using Script = std::function<void(int)>;
  Server(const std::string& path, Script script)
      : listener_(listen_at(path)), thread_([this, script = std::move(script)] {
          const net::Fd peer(accept(listener_.get(), nullptr, nullptr));
          char buffer[512];
          const auto got = read(peer.get(), buffer, sizeof buffer);
          if (got > 0) question_.assign(buffer, static_cast<std::size_t>(got));
          script(peer.get());
        }) {}
  ~Server() { thread_.join(); }
  std::string question() {
    thread_.join();
    thread_ = std::thread([] {});
    return question_;
  }

 private:
  net::Fd listener_;
  std::string question_;
  std::thread thread_;
};

void say(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto sent = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
}

net::Endpoint endpoint(std::string_view text) {
  return *net::Endpoint::parse(text);
}

classifier::Trace sample(std::uint32_t message) {
  classifier::Trace trace;
  trace.message = message;
  trace.size = 428;
  trace.segments.resize(2);
  trace.segments[0].size = 399;
  trace.segments[1].size = 29;
  return trace;
}

classifier::Trace asked(const std::string& answer, std::uint32_t after = 0) {
  Place place;
  Server server(place.socket(), [answer](int fd) { say(fd, answer); });
  return evidence::Client(place.socket(), milliseconds(2000))
      .ask({.client = endpoint("192.0.2.7:40112"), .after = after});
}

}  // namespace

TEST_CASE("the question names the client and the last message that was judged") {
  Place place;
  Server server(place.socket(), [](int fd) { say(fd, "none no-session\n"); });
  evidence::Client(place.socket(), milliseconds(2000))
      .ask({.client = endpoint("[2001:db8::1]:25"), .after = 3});
  CHECK(server.question() == "get client=[2001:db8::1]:25 after=3\n");
}

TEST_CASE("a trace arrives as it was printed") {
  const auto trace = sample(2);
  CHECK(asked("trace " + classifier::print(trace) + "\n", 1) == trace);
}

TEST_CASE("a trace that arrives byte by byte is put together") {
  Place place;
  const std::string answer = "trace " + classifier::print(sample(1)) + "\n";
  Server server(place.socket(), [&](int fd) {
    for (const char c : answer) say(fd, std::string_view(&c, 1));
  });
  CHECK(evidence::Client(place.socket(), milliseconds(5000))
            .ask({.client = endpoint("192.0.2.7:1")}) == sample(1));
}

TEST_CASE("the observer's reason becomes the trace's reason") {
  const auto reason = GENERATE(Reason::NoSession, Reason::Lost, Reason::Encrypted, Reason::Dropped,
                               Reason::Balancer);
  const auto trace = asked("none " + std::string(classifier::name(reason)) + "\n", 4);
  CHECK(trace.state == State::Unobserved);
  CHECK(trace.reason == reason);
  CHECK((trace.via == classifier::Via::Balancer) == (reason == Reason::Balancer));
  CHECK(trace.message == 5);
}

TEST_CASE("a malformed answer leaves the message unobserved with reason error") {
  const std::string answer = GENERATE_COPY(
      std::string(""), std::string("\n"), std::string("none"), std::string("none such-reason\n"),
      std::string("none none\n"), std::string("trace \n"), std::string("trace nonsense\n"),
      std::string("none no-session"), "trace " + classifier::print(sample(1)));
  const auto trace = asked(answer);
  CHECK(trace.state == State::Unobserved);
  CHECK(trace.reason == Reason::Error);
}

TEST_CASE("a trace of an earlier message is refused") {
  CHECK(asked("trace " + classifier::print(sample(2)) + "\n", 2).reason == Reason::Error);
}

TEST_CASE("an answer without an end is given up at the size limit") {
  const auto trace = asked("trace " + std::string(3 * 1024 * 1024, 'x'));
  CHECK(trace.reason == Reason::Error);
}

TEST_CASE("a missing socket is an error") {
  Place place;
  const evidence::Client client(place.socket(), milliseconds(100));
  CHECK(client.ask({.client = endpoint("192.0.2.7:1")}).reason == Reason::Error);
}

TEST_CASE("a path that no unix socket can have is an error") {
  const evidence::Client client("/" + std::string(200, 'x'), milliseconds(100));
  CHECK(client.ask({.client = endpoint("192.0.2.7:1")}).reason == Reason::Error);
}

// Much longer than the time limits of these questions, also on a busy machine.
constexpr milliseconds kMuchLonger(20'000);

TEST_CASE("an observer that says nothing costs the time limit and not more") {
  Place place;
  const auto listener = listen_at(place.socket());
  const auto begin = std::chrono::steady_clock::now();
  const evidence::Client client(place.socket(), milliseconds(100));
  CHECK(client.ask({.client = endpoint("192.0.2.7:1")}).reason == Reason::Timeout);
  const auto took = std::chrono::steady_clock::now() - begin;
  CHECK(took >= milliseconds(100));
  CHECK(took < kMuchLonger);
}

TEST_CASE("an observer whose backlog is full costs the time limit and not more") {
  Place place;
  const auto listener = listen_at(place.socket());
  const evidence::Client client(place.socket(), milliseconds(50));
  for (int i = 0; i < 4; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    CHECK(client.ask({.client = endpoint("192.0.2.7:1")}).reason == Reason::Timeout);
    CHECK(std::chrono::steady_clock::now() - begin < kMuchLonger);
  }
}

TEST_CASE("an observer that sends single bytes cannot exceed the time limit") {
  Place place;
  Server server(place.socket(), [](int fd) {
    char byte = 0;
    for (int i = 0; i < 6000; ++i) {  // one minute
      if (send(fd, "x", 1, MSG_NOSIGNAL) < 0 || recv(fd, &byte, 1, MSG_DONTWAIT) == 0) return;
      usleep(10'000);
    }
  });
  const evidence::Client client(place.socket(), milliseconds(100));
  const auto begin = std::chrono::steady_clock::now();
  CHECK(client.ask({.client = endpoint("192.0.2.7:1")}).reason == Reason::Timeout);
  CHECK(std::chrono::steady_clock::now() - begin < kMuchLonger);
}
