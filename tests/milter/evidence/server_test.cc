// Tests milter/evidence/server on a real unix socket, with the real client.
#include "milter/evidence/server.h"

#include <sys/stat.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "classifier/dialogue_words.h"
#include "milter/evidence/client.h"
#include "tests/support/loopback.h"

using classifier::Reason;

namespace {

const net::Endpoint kClient = *net::Endpoint::parse("192.0.2.7:40112");

// The server in its own thread and loop, in its own directory.
struct Bed {
  std::filesystem::path directory;
  evidence::Table table{100, std::chrono::seconds(60)};
  config::Evidence settings;
  net::EventBase base{event_base_new()};
  std::unique_ptr<evidence::Server> server;
  net::Event stop;
  int wake[2];
  std::thread thread;

  Bed() {
    char name[] = "/tmp/segmilter-test-XXXXXX";
    directory = mkdtemp(name);
    settings.socket = (directory / "evidence.sock").string();
    server = std::make_unique<evidence::Server>(base.get(), settings, table);
    net::check(pipe(wake), "pipe");
    stop.reset(event_new(
        base.get(), wake[0], EV_READ,
        [](evutil_socket_t, short, void* self) {
          event_base_loopbreak(static_cast<event_base*>(self));
        },
        base.get()));
    event_add(stop.get(), nullptr);
    thread = std::thread([this] { event_base_dispatch(base.get()); });
  }
  ~Bed() {
    net::check(static_cast<int>(::write(wake[1], "x", 1)), "write");
    thread.join();
    ::close(wake[0]);
    ::close(wake[1]);
    server.reset();
    stop.reset();
    std::filesystem::remove_all(directory);
  }

  net::Fd connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    settings.socket.copy(address.sun_path, sizeof address.sun_path - 1);
    net::Fd fd(net::check(socket(AF_UNIX, SOCK_STREAM, 0), "socket"));
    net::check(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address),
               "connect");
    return fd;
  }
};

}  // namespace

TEST_CASE("a second server does not take the path, and the first one continues") {
  Bed bed;
  const net::EventBase base(event_base_new());
  try {
    const evidence::Server second(base.get(), bed.settings, bed.table);
    FAIL("it has taken the path");
  } catch (const std::system_error& error) {
    CHECK(error.code() == std::errc::address_in_use);
  }
  const evidence::Client client(bed.settings.socket, std::chrono::milliseconds(5000));
  CHECK(client.ask({.client = kClient}).reason == Reason::NoSession);
}

TEST_CASE("a server notices that its path is gone, and continues with another socket") {
  char name[] = "/tmp/segmilter-test-XXXXXX";
  const std::filesystem::path directory = mkdtemp(name);
  config::Evidence settings;
  settings.socket = (directory / "evidence.sock").string();
  const evidence::Table table(100, std::chrono::seconds(60));
  const net::EventBase base(event_base_new());
  evidence::Server server(base.get(), settings, table);
  CHECK_FALSE(server.lost());
  std::filesystem::remove(settings.socket);
  CHECK(server.lost());
  server.serve_at(net::listen_unix(settings.socket, 0600, 8, "listen"));
  CHECK_FALSE(server.lost());
  bool answered = false;
  std::thread asks([&] {
    const evidence::Client client(settings.socket, std::chrono::milliseconds(5000));
    answered = client.ask({.client = kClient}).reason == Reason::NoSession;
    event_base_loopbreak(base.get());
  });
  const timeval limit{10, 0};
  event_base_loopexit(base.get(), &limit);
  event_base_dispatch(base.get());
  asks.join();
  CHECK(answered);
  server.close();
  CHECK_FALSE(server.lost());  // the path is no longer this server's
  std::filesystem::remove_all(directory);
}

TEST_CASE("the client gets the trace that was published, or the reason for none") {
  Bed bed;
  const evidence::Client client(bed.settings.socket, std::chrono::milliseconds(5000));
  CHECK(client.ask({.client = kClient}).reason == Reason::NoSession);
  classifier::Trace trace{.message = 1, .size = 12};
  trace.segments.push_back({.size = 12, .push = true, .line_end = true});
  const evidence::SessionKey session{.client = kClient, .number = 1};
  bed.table.open(session);
  bed.table.publish(session, {.trace = trace});
  CHECK(client.ask({.client = kClient}) == trace);
  CHECK(client.ask({.client = kClient, .after = 1}).reason == Reason::Lost);
}

TEST_CASE("if not everything that was seen of a client is in the table, the answer is the reason") {
  evidence::Table table(10, std::chrono::seconds(60));
  const evidence::SessionKey session{.client = kClient, .number = 1};
  table.open(session);
  table.publish(session, {.trace = {.message = 1, .size = 12}});
  const auto answer = [&](Reason unseen) {
    return evidence::answer(table, evidence::print(evidence::Question{.client = kClient}),
                            [&](const net::Endpoint& client) {
                              CHECK(client == kClient);
                              return unseen;
                            });
  };
  CHECK(answer(Reason::Dropped) == "none dropped");
  CHECK(answer(Reason::None).starts_with("trace "));
}

TEST_CASE("a question about a dialogue is answered with words, or with a reason") {
  Bed bed;
  const evidence::Client client(bed.settings.socket, std::chrono::milliseconds(5000));
  const evidence::SessionQuestion question{.client = kClient};
  CHECK(std::get<Reason>(client.ask_talk(question)) == Reason::NoSession);
  const evidence::SessionKey session{kClient, {}, 1, {}};
  bed.table.open(session);
  CHECK(std::get<std::uint32_t>(client.ask_talk(question)) == 0);
  const auto words = *classifier::words_named("early,helo-ahead");
  bed.table.talks(session, words);
  CHECK(std::get<std::uint32_t>(client.ask_talk(question)) == words);
  for (const char* bad :
       {"", "talk", "talk ", "talk early,", "talk size", "none", "none none", "trace early"}) {
    CAPTURE(bad);
    CHECK(std::get<Reason>(evidence::read_talk(bad)) == Reason::Error);
  }
}

TEST_CASE("a question may come in pieces, and is dropped if it is too long or has no end") {
  Bed bed;
  auto slow = bed.connect();
  for (const char* piece : {"get client=192.0.2.", "7:40112 af", "ter=0", "\n"}) {
    support::send_all(slow.get(), piece);
  }
  CHECK(support::read_to_end(slow.get()) == "none no-session\n");
  auto endless = bed.connect();
  const std::string flood(10'000, 'x');
  support::send_all(endless.get(), flood);
  CHECK(support::read_to_end(endless.get()).empty());
}

TEST_CASE("a client that asks nothing does not block others") {
  Bed bed;
  std::vector<net::Fd> idle;
  for (int i = 0; i < 100; ++i) idle.push_back(bed.connect());
  const evidence::Client client(bed.settings.socket, std::chrono::milliseconds(5000));
  CHECK(client.ask({.client = kClient}).reason == Reason::NoSession);
}

TEST_CASE("the socket has its configured mode and replaces an old socket file") {
  Bed bed;
  bed.server->close();
  struct stat info {};
  REQUIRE(stat(bed.settings.socket.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0660);
  const net::EventBase base{event_base_new()};
  CHECK_NOTHROW(evidence::Server(base.get(), bed.settings, bed.table));
}
