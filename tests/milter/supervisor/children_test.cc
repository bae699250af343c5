// Tests the table of the processes. tests/milter/cli/run_test.py tests with the real program that
// they are started, keep only their own sockets and are started again.
#include "milter/supervisor/children.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "milter/net/server_socket.h"

using supervisor::child_kind;
using supervisor::child_kinds;
using supervisor::Opened;

namespace {

net::Endpoint any_port() {
  return *net::Endpoint::parse("127.0.0.1:0");
}

std::vector<std::string> wanted(const config::Config& config) {
  std::vector<std::string> names;
  for (const auto& kind : child_kinds()) {
    if (kind.wanted(config)) names.emplace_back(kind.name);
  }
  return names;
}

config::Config with_proxy_and_desk() {
  config::Config config;
  config.capture.method = config::Capture::Method::Read;
  config.proxy.workers = 1;
  config.proxy.listen = {any_port()};
  config.desk.listen = {any_port()};
  return config;
}

}  // namespace

TEST_CASE("the configuration decides which processes are started") {
  config::Config config;
  CHECK(wanted(config) == std::vector<std::string>{"filter"});
  config.wire.ports = {25};
  CHECK(wanted(config) == std::vector<std::string>{"wire", "filter"});
  CHECK(wanted(with_proxy_and_desk()) == std::vector<std::string>{"proxy", "filter", "desk"});
}

TEST_CASE("each process has its own row") {
  std::set<std::string> names;
  std::set<process::Part> parts;
  std::set<const supervisor::ChildCounters*> children;
  supervisor::Counts counts{};
  for (const auto& kind : child_kinds()) {
    INFO(kind.name);
    CHECK(names.insert(kind.name).second);
    CHECK(parts.insert(kind.part).second);
    CHECK(children.insert(&counters_of(kind, counts)).second);
    CHECK(&child_kind(kind.name) == &kind);
    CHECK(kind.part != process::Part::Supervisor);
  }
}

TEST_CASE("a process closes what was opened for other processes") {
  const auto config = with_proxy_and_desk();
  const std::map<std::string, std::pair<bool, bool>> expected = {
      {"proxy", {true, false}}, {"filter", {false, false}}, {"desk", {false, true}}};
  for (const auto& [name, keeps] : expected) {
    INFO(name);
    Opened opened;
    for (const auto& kind : child_kinds()) {
      if (kind.wanted(config)) REQUIRE(kind.open(config, nullptr, opened));
    }
    const int of_proxy = opened.proxy->inputs().front().listeners.front();
    const int of_desk = opened.desk.front().get();
    REQUIRE(fcntl(of_proxy, F_GETFD) >= 0);
    REQUIRE(fcntl(of_desk, F_GETFD) >= 0);
    Opened own;
    child_kind(name).keep(opened, own);
    opened = std::move(own);
    CHECK((fcntl(of_proxy, F_GETFD) >= 0) == keeps.first);
    CHECK((fcntl(of_desk, F_GETFD) >= 0) == keeps.second);
  }
}

TEST_CASE("if the address of the metrics page is taken, the program starts without the page") {
  auto config = with_proxy_and_desk();
  Opened first;
  REQUIRE(child_kind("desk").open(config, nullptr, first));
  config.desk.listen = {*net::bound_to(first.desk.front().get())};
  Opened second;
  CHECK_FALSE(child_kind("desk").open(config, nullptr, second));
  CHECK(second.desk.empty());
  CHECK_FALSE(child_kind("desk").needed);
}
