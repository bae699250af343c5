// Tests the desk's server with real requests over real connections, and with near misses.
#include "milter/desk/server.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <new>
#include <optional>
#include <thread>

#include "milter/desk/query.h"
#include "milter/net/event.h"
#include "tests/support/loopback.h"

namespace {

std::optional<desk::Response> handle(const desk::Request& request) {
  if (request.path == "/page") {
    return desk::Response{.type = "text/plain", .body = "what is asked for\n"};
  }
  if (request.path == "/broken") throw std::bad_alloc();
  if (request.path == "/slow") {
    if (!request.is_last_call) return std::nullopt;
    return desk::Response{.code = 503, .body = "not yet\n"};
  }
  return desk::Response{.code = 404, .body = "There is: /page\n"};
}

config::Desk names() {
  config::Desk config;
  config.hosts = {"x"};
  return config;
}

// A server in its own thread.
struct Bed {
  support::Listener listener = support::listen_on();
  net::EventBase base{event_base_new()};
  desk::Server server{base.get(), {listener.fd.get()}, desk::Guard(names()), handle};
  net::Event stop;
  std::thread thread;

  Bed() {
    evutil_make_socket_nonblocking(listener.fd.get());
    // libevent's locks are not needed: the loop itself checks whether it has to end.
    stop.reset(event_new(
        base.get(), -1, EV_PERSIST,
        [](evutil_socket_t, short, void* self) {
          if (static_cast<Bed*>(self)->ended)
            event_base_loopbreak(static_cast<Bed*>(self)->base.get());
        },
        this));
    constexpr timeval kOften{0, 10'000};
    event_add(stop.get(), &kOften);
    thread = std::thread([this] { event_base_dispatch(base.get()); });
  }
  ~Bed() {
    ended = true;
    thread.join();
  }

  net::Fd connect() const { return support::connect_to(listener.address); }
  // The answer to `request`, read to the end of the connection.
  std::string ask(std::string_view request) const {
    const auto client = connect();
    support::send_all(client.get(), request);
    return support::read_to_end(client.get());
  }

  std::atomic<bool> ended{false};
};

std::string get(std::string_view path) {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
}

}  // namespace

TEST_CASE("a page is served, with its type and its length") {
  const Bed bed;
  const auto answer = bed.ask(get("/page"));
  CHECK(answer.starts_with("HTTP/1.1 200 OK\r\n"));
  CHECK(answer.find("Content-Type: text/plain\r\n") != answer.npos);
  CHECK(answer.find("Content-Length: 18\r\n") != answer.npos);
  CHECK(answer.ends_with("\r\n\r\nwhat is asked for\n"));
  CHECK(bed.ask(get("/page?query=1")).starts_with("HTTP/1.1 200 OK\r\n"));
}

TEST_CASE("each answer has the security headers, also those that libevent makes by itself") {
  const Bed bed;
  const std::string requests[] = {
      get("/page"),
      get("/nothing"),
      get("/broken"),
      "GET /page HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
      "GET /page HTTP/1.0\r\nHost: x\r\n\r\n",
      "DELETE /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      "NONSENSE /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
      "POST /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
      "EHLO client.example\r\n",
  };
  for (const auto& request : requests) {
    INFO(request);
    const auto answer = bed.ask(request);
    const auto head = answer.substr(0, answer.find("\r\n\r\n") + 2);
    REQUIRE(head.starts_with("HTTP/1."));
    for (std::string_view left = desk::kSecurityHeaders; !left.empty();) {
      const auto line = left.substr(0, left.find('\n') + 1);
      left.remove_prefix(line.size());
      INFO(line);
      CHECK(head.find(line) != head.npos);
      CHECK(head.find(line, head.find(line) + 1) == head.npos);
    }
  }
}

TEST_CASE(
    "a client that calls the desk by another name is refused, and so is another site's page") {
  const Bed bed;
  const auto with = [](const std::string& fields) {
    return "GET /page HTTP/1.1\r\n" + fields + "Connection: close\r\n\r\n";
  };
  const std::pair<std::string, std::string> rows[] = {
      {"Host: 127.0.0.1:9125\r\n", "HTTP/1.1 200 "},
      {"Host: localhost\r\nSec-Fetch-Site: none\r\n", "HTTP/1.1 200 "},
      {"Host: localhost\r\nSec-Fetch-Site: same-origin\r\n", "HTTP/1.1 200 "},
      {"Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", "HTTP/1.1 403 "},
      {"Host: evil.example\r\n", "HTTP/1.1 421 "},
      {"Host: 127.0.0.1.evil.example:80\r\n", "HTTP/1.1 421 "},
      {"Host:\r\n", "HTTP/1.1 421 "},
      {"", "HTTP/1.1 421 "},
  };
  for (const auto& [fields, expected] : rows) {
    INFO(fields);
    CHECK(bed.ask(with(fields)).substr(0, expected.size()) == expected);
  }
}

TEST_CASE("a query that is too long or cannot be read is refused") {
  const Bed bed;
  CHECK(bed.ask(get("/page?a=" + std::string(desk::kMostQuery, 'x'))).starts_with("HTTP/1.1 400"));
  CHECK(bed.ask(get("/page?a=%zz")).starts_with("HTTP/1.1 400"));
  CHECK(bed.ask(get("/%2")).starts_with("HTTP/1.1 400"));
}

TEST_CASE("an answer that is not there yet is waited for, and holds up no other one") {
  const Bed bed;
  const auto slow = bed.connect();
  support::send_all(slow.get(), get("/slow"));
  const auto began = std::chrono::steady_clock::now();
  CHECK(bed.ask(get("/page")).starts_with("HTTP/1.1 200"));
  CHECK(std::chrono::steady_clock::now() - began < desk::Server::kWait);
  CHECK(support::read_to_end(slow.get()).starts_with("HTTP/1.1 503"));
  CHECK(std::chrono::steady_clock::now() - began >= desk::Server::kWait);
  {
    const auto left = bed.connect();  // a client that does not wait is no harm
    support::send_all(left.get(), get("/slow"));
  }
  usleep(3'500'000);
  CHECK(bed.ask(get("/page")).starts_with("HTTP/1.1 200"));
}

TEST_CASE("HEAD has the same answer without the page") {
  const Bed bed;
  const auto answer = bed.ask("HEAD /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  CHECK(answer.find("Content-Length: 18\r\n") != answer.npos);
  CHECK(answer.ends_with("\r\n\r\n"));
}

TEST_CASE("one connection can carry several requests") {
  const Bed bed;
  const auto client = bed.connect();
  for (int i = 0; i < 3; ++i) {
    support::send_all(client.get(), "GET /page HTTP/1.1\r\nHost: x\r\n\r\n");
    std::string answer;
    while (!answer.ends_with("for\n")) {
      const auto byte = support::read_exactly(client.get(), 1);
      REQUIRE_FALSE(byte.empty());
      answer += byte;
    }
    CHECK(answer.starts_with("HTTP/1.1 200"));
  }
}

TEST_CASE("a request for something else is refused, and the next request is answered") {
  const Bed bed;
  const std::string huge(2 * desk::Server::kMostHeader, 'x');
  const std::pair<std::string, std::string> rows[] = {
      {get("/"), "HTTP/1.1 404 "},
      {get("/pag"), "HTTP/1.1 404 "},
      {get("/page/"), "HTTP/1.1 404 "},
      {get("//page"), "HTTP/1.1 400 "},
      {get("/../page"), "HTTP/1.1 404 "},
      {get("/broken"), "HTTP/1.1 500 "},
      {"POST /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
       "HTTP/1.1 413 "},
      {"POST /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
       "HTTP/1.1 501 "},
      {"DELETE /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 501 "},
      {"GET /page HTTP/1.1\r\nHost: x\r\nX: " + huge + "\r\n\r\n", "HTTP/1.1 400 "},
      {"GET /" + huge + " HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 "},
      {"EHLO client.example\r\n", "HTTP/1.1 400 "},
  };
  for (const auto& [request, expected] : rows) {
    INFO(request.substr(0, 60));
    CHECK(bed.ask(request).substr(0, expected.size()) == expected);
    CHECK(bed.ask(get("/page")).starts_with("HTTP/1.1 200"));
  }
}

TEST_CASE(
    "more slow clients than there are places keep no other client out, and are closed in time") {
  const Bed bed;
  std::vector<net::Fd> slow;
  for (std::size_t i = 0; i < desk::Server::kMostConnections; ++i) slow.push_back(bed.connect());
  const auto drip = [&slow] {
    for (const auto& client : slow) support::send_all(client.get(), "G");
  };
  // Whether this many of them have been closed.
  const auto closed = [&slow] {
    return static_cast<std::size_t>(std::count_if(slow.begin(), slow.end(), [](const auto& client) {
      return support::readable(client.get(), 0);
    }));
  };
  drip();
  const auto began = std::chrono::steady_clock::now();
  const auto lasted = [began] { return std::chrono::steady_clock::now() - began; };
  const std::size_t over = desk::Server::kMostConnections - desk::Server::kMostKept;
  while (closed() < over && lasted() < std::chrono::seconds(8)) usleep(50'000);
  CHECK(closed() == over);
  CHECK(support::readable(slow.front().get(), 0));  // the oldest
  CHECK_FALSE(support::readable(slow.back().get(), 0));
  CHECK(bed.ask(get("/page")).starts_with("HTTP/1.1 200"));
  while (closed() < slow.size() && lasted() < std::chrono::seconds(20)) {
    drip();
    usleep(500'000);
  }
  CHECK(closed() == slow.size());
  CHECK(lasted() > desk::Connections::kPatience - std::chrono::seconds(1));
}

TEST_CASE("when all descriptors are taken, clients wait and the loop does not spin") {
  const pid_t pid = fork();  // the limit holds for the whole process
  REQUIRE(pid >= 0);
  if (pid == 0) {
    int code = 1;
    {
      const Bed bed;
      // The clients' ends belong to this process too, so half of the limit is reached.
      desk::limit_connections(40);
      std::vector<net::Fd> clients;
      try {
        for (int i = 0; i < 40; ++i) clients.push_back(bed.connect());
      } catch (const std::system_error&) {
        // No descriptor is left for a client either.
      }
      usleep(300'000);
      timespec before{};
      timespec after{};
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
      usleep(1'000'000);
      clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
      const auto spent =
          (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1'000'000;
      const bool rests = spent < 300 && clients.size() >= 10;
      clients.clear();
      code = rests && bed.ask(get("/page")).starts_with("HTTP/1.1 200") ? 0 : 1;
    }
    _exit(code);
  }
  int status = -1;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
}
