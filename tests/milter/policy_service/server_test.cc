// Tests milter/policy_service/server on real sockets.
#include "milter/policy_service/server.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "milter/net/server_socket.h"
#include "tests/support/loopback.h"

using namespace std::chrono_literals;
using policy_service::Request;
using policy_service::Server;
using support::read_exactly;

namespace {

const std::string kRequest =
    "request=smtpd_access_policy\nprotocol_state=RCPT\nsender=a@b.example\n\n";
const std::string kDunno = "action=DUNNO\n\n";

struct Bed {
  std::filesystem::path directory;
  std::shared_ptr<config::Config> settings = std::make_shared<config::Config>();
  policy_service::Counters counters;
  std::unique_ptr<Server> server;

  explicit Bed(Server::Answer answer = [](const Request&) { return std::string("DUNNO"); }) {
    char name[] = "/tmp/segmilter-test-XXXXXX";
    directory = mkdtemp(name);
    settings->policy_service.socket = config::MilterSocket{.path = path()};
    start(std::move(answer));
  }
  ~Bed() {
    server.reset();
    std::filesystem::remove_all(directory);
  }
  void start(Server::Answer answer) {
    const auto& socket = *settings->policy_service.socket;
    server = std::make_unique<Server>(
        policy_service::listen_at(socket, 0660), socket, [this] { return settings; },
        std::move(answer), counters);
  }
  std::string path() const { return (directory / "policy.sock").string(); }
  net::Fd connect() const {
    net::Fd fd = net::connect_unix(path(), 5s);
    REQUIRE(fd);
    return fd;
  }
};

}  // namespace

TEST_CASE("many requests on one connection are answered one after the other") {
  std::vector<std::string> senders;
  Bed bed([&](const Request& request) {
    senders.push_back(request.sender);
    return "REJECT 5.7.1 number " + std::to_string(senders.size());
  });
  const auto client = bed.connect();
  for (int i = 1; i <= 3; ++i) {
    support::send_all(client.get(), kRequest);
    const auto wanted = "action=REJECT 5.7.1 number " + std::to_string(i) + "\n\n";
    CHECK(read_exactly(client.get(), wanted.size()) == wanted);
  }
  CHECK(senders == std::vector<std::string>(3, "a@b.example"));
  CHECK(bed.counters.connections == 1);
}

TEST_CASE("requests may come cut anywhere, and several in one write") {
  Bed bed;
  const auto client = bed.connect();
  for (const char byte : kRequest) {
    support::send_all(client.get(), std::string_view(&byte, 1));
  }
  CHECK(read_exactly(client.get(), kDunno.size()) == kDunno);
  constexpr int kMany = 1000;
  std::string all;
  for (int i = 0; i < kMany; ++i) all += kRequest;
  std::thread writer([&] { support::send_all(client.get(), all); });
  const auto answers = read_exactly(client.get(), kMany * kDunno.size());
  writer.join();
  CHECK(answers.size() == kMany * kDunno.size());
  CHECK(answers.substr(answers.size() - kDunno.size()) == kDunno);
}

TEST_CASE("what is not a request ends the connection, and others go on") {
  Bed bed;
  const auto good = bed.connect();
  for (const std::string& bad :
       {std::string("nonsense\n\n"), std::string("GET / HTTP/1.1\r\n\r\n\n\n"),
        std::string(policy_service::kMostRequest + 1, 'x')}) {
    const auto client = bed.connect();
    // The server may have closed before all was sent.
    (void)send(client.get(), bad.data(), bad.size(), MSG_NOSIGNAL);
    CHECK(read_exactly(client.get(), 1).empty());
  }
  CHECK(bed.counters.malformed == 3);
  support::send_all(good.get(), kRequest);
  CHECK(read_exactly(good.get(), kDunno.size()) == kDunno);
}

TEST_CASE("an error while answering is DUNNO and is counted") {
  Bed bed([](const Request&) -> std::string { throw std::runtime_error("no"); });
  const auto client = bed.connect();
  support::send_all(client.get(), kRequest);
  CHECK(read_exactly(client.get(), kDunno.size()) == kDunno);
  CHECK(bed.counters.failures == 1);
}

TEST_CASE("connections above the limit are closed, and idle ones after their time") {
  Bed bed;
  auto limited = std::make_shared<config::Config>(*bed.settings);
  limited->policy_service.max_connections = 2;
  limited->policy_service.idle_timeout = 1s;
  bed.server.reset();
  bed.settings = limited;
  bed.start([](const Request&) { return std::string("DUNNO"); });
  const auto first = bed.connect();
  const auto second = bed.connect();
  support::send_all(second.get(), kRequest);
  CHECK(read_exactly(second.get(), kDunno.size()) == kDunno);
  const auto third = bed.connect();
  CHECK(read_exactly(third.get(), 1).empty());
  CHECK(bed.counters.refused == 1);
  CHECK(read_exactly(first.get(), 1).empty());
  CHECK(read_exactly(second.get(), 1).empty());
  const auto fourth = bed.connect();
  support::send_all(fourth.get(), kRequest);
  CHECK(read_exactly(fourth.get(), kDunno.size()) == kDunno);
}

TEST_CASE("a lost path is noticed, and the service goes on at another socket there") {
  Bed bed;
  CHECK_FALSE(bed.server->lost());
  const auto before = bed.connect();
  std::filesystem::remove(bed.path());
  CHECK(bed.server->lost());
  bed.server->serve_at(policy_service::listen_at(*bed.settings->policy_service.socket, 0660));
  CHECK_FALSE(bed.server->lost());
  support::send_all(before.get(), kRequest);
  CHECK(read_exactly(before.get(), kDunno.size()) == kDunno);
  const auto after = bed.connect();
  support::send_all(after.get(), kRequest);
  CHECK(read_exactly(after.get(), kDunno.size()) == kDunno);
}

TEST_CASE("a hidden service keeps its connections and leaves its place to the next one") {
  Bed bed;
  const auto old = bed.connect();
  support::send_all(old.get(), kRequest);
  CHECK(read_exactly(old.get(), kDunno.size()) == kDunno);
  bed.server->hide();
  CHECK_FALSE(bed.server->lost());
  CHECK_FALSE(std::filesystem::exists(bed.path()));
  const auto next = policy_service::listen_at(*bed.settings->policy_service.socket, 0660);
  CHECK(std::filesystem::exists(bed.path()));
  support::send_all(old.get(), kRequest);
  CHECK(read_exactly(old.get(), kDunno.size()) == kDunno);
}

TEST_CASE("over TCP the port is free for the next one once the service is hidden") {
  config::MilterSocket socket{
      .kind = config::MilterSocket::Kind::Inet, .path = "", .host = "127.0.0.1", .port = 0};
  Bed bed;
  net::Fd listener = policy_service::listen_at(socket, 0660);
  socket.port = net::bound_to(listener.get())->port();
  Server server(
      std::move(listener), socket, [&] { return bed.settings; },
      [](const Request&) { return std::string("DUNNO"); }, bed.counters);
  const auto client = support::connect_to(*socket.address());
  support::send_all(client.get(), kRequest);
  CHECK(read_exactly(client.get(), kDunno.size()) == kDunno);
  CHECK_THROWS_AS(policy_service::listen_at(socket, 0660), std::system_error);
  server.hide();
  CHECK_NOTHROW(policy_service::listen_at(socket, 0660));
  support::send_all(client.get(), kRequest);
  CHECK(read_exactly(client.get(), kDunno.size()) == kDunno);
}
