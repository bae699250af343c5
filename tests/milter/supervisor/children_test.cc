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
  CHECK(wanted(config) == std::vector<std::string>{"filter", "memory"});
  config.memory.enabled = false;
  CHECK(wanted(config) == std::vector<std::string>{"filter"});
  config.wire.ports = {25};
  CHECK(wanted(config) == std::vector<std::string>{"wire", "filter"});
  CHECK(wanted(with_proxy_and_desk()) ==
        std::vector<std::string>{"proxy", "filter", "memory", "desk"});
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
  // Whether each keeps the proxy's listener, the filter's and the memory's end of their socket
  // pair, and the desk's listener.
  const std::map<std::string, std::vector<bool>> expected = {
      {"proxy", {true, false, false, false}},
      {"filter", {false, true, false, false}},
      {"memory", {false, false, true, false}},
      {"desk", {false, false, false, true}}};
  for (const auto& [name, keeps] : expected) {
    INFO(name);
    Opened opened;
    for (const auto& kind : child_kinds()) {
      if (kind.wanted(config)) REQUIRE(kind.open(config, nullptr, opened));
    }
    const int fds[] = {opened.proxy->inputs().front().listeners.front(), opened.sightings_out.get(),
                       opened.sightings_in.get(), opened.desk.front().get()};
    for (const int fd : fds) REQUIRE(fcntl(fd, F_GETFD) >= 0);
    Opened own;
    child_kind(name).keep(opened, own);
    opened = std::move(own);
    std::vector<bool> open;
    for (const int fd : fds) open.push_back(fcntl(fd, F_GETFD) >= 0);
    CHECK(open == keeps);
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
