// Tests the supervisor's parts. tests/milter/cli/run_test.py tests the whole supervisor from
// outside, with real children and signals.
#include "milter/supervisor/supervisor.h"

#include <poll.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>

#include "milter/process/setup_error.h"
#include "milter/supervisor/child.h"
#include "milter/supervisor/proxy_parts.h"
#include "milter/supervisor/rights.h"

using namespace std::chrono_literals;
using process::ControlMessage;
using supervisor::Backoff;
using supervisor::Child;
using Kind = ControlMessage::Kind;

namespace {

// Waits for the child's end and describes it.
std::string end_of(Child& child) {
  int status = 0;
  REQUIRE(waitpid(child.pid(), &status, 0) == child.pid());
  child.ended(true, supervisor::Clock::now());
  return supervisor::describe_end(status);
}

// The supervisor's end of the line does not block, so wait until the message is there.
void hear_ready(Child& child) {
  for (int tries = 0; tries < 60'000 && !child.hear(supervisor::Clock::now()); ++tries)
    usleep(1000);
}

}  // namespace

TEST_CASE("a child that dies is started again at once, then after longer and longer waits") {
  Backoff backoff;
  for (const auto expected : {0s, 1s, 2s, 4s, 8s, 16s, 30s, 30s}) {
    CHECK(backoff.after(1s) == expected);
  }
  SECTION("without end") {
    for (int i = 0; i < 100; ++i) backoff.after(0s);
    CHECK(backoff.after(0s) == Backoff::kMost);
  }
  SECTION("until it has lived for a long time: then the waits begin again") {
    CHECK(backoff.after(Backoff::kLongLife) == 0s);
    CHECK(backoff.after(1s) == 1s);
  }
}

TEST_CASE("a child reports that it is ready, receives messages, and returns its exit code") {
  supervisor::ChildCounters child_counters;
  Child child("echo", child_counters, [](int control_fd) {
    process::send_control(control_fd, {Kind::Ready, {}});
    const auto reload = process::receive_control(control_fd);
    const auto drain = process::receive_control(control_fd);
    const bool right =
        reload->kind == Kind::Reload && reload->text == "[log]\n" && drain->kind == Kind::Drain;
    return right ? EX_TEMPFAIL : EX_SOFTWARE;
  });
  CHECK(child.state() == Child::State::Down);
  CHECK_FALSE(child.send({Kind::Drain, {}}));
  child.start({});
  CHECK(child.state() == Child::State::Starting);
  CHECK_FALSE(child_counters.serves);
  hear_ready(child);
  CHECK(child.state() == Child::State::Ready);
  CHECK(child_counters.serves);
  CHECK(child.send({Kind::Reload, "[log]\n"}));
  CHECK(child.send({Kind::Drain, {}}));
  CHECK(end_of(child) == "ended with status 75");
  CHECK(child.state() == Child::State::Down);
  CHECK_FALSE(child_counters.serves);
  CHECK(child_counters.starts == 1);
  CHECK_FALSE(child.next_start());
}

TEST_CASE("a child that does not answer for a long time is reported, one that answers is not") {
  supervisor::ChildCounters child_counters;
  Child child("silent", child_counters, [](int control_fd) {
    process::send_control(control_fd, {Kind::Ready, {}});
    (void)process::receive_control(control_fd);
    process::send_control(control_fd, {Kind::Pong, {}});
    while (process::receive_control(control_fd)->kind != Kind::Gone) {
    }
    return EX_OK;
  });
  child.start({});
  const auto now = supervisor::Clock::now();
  CHECK(child.ping(now + 9s));  // not ready yet, so no ping is sent
  CHECK_FALSE(child.ping(now + 10s));
  hear_ready(child);
  CHECK(child.ping(now + 1s));
  pollfd word{child.control_fd(), POLLIN, 0};
  REQUIRE(poll(&word, 1, 60'000) == 1);
  CHECK_FALSE(child.hear(now + 9s));  // a message, but not "ready"
  CHECK(child.ping(now + 18s));
  CHECK_FALSE(child.ping(now + 19s));
  child.kill(SIGKILL);
  CHECK(end_of(child) == "was killed by SIGKILL");
}

TEST_CASE("a child whose body throws ends with an exit code for that error") {
  supervisor::ChildCounters child_counters;
  Child child("thrower", child_counters,
              [](int) -> int { throw std::system_error(ENOENT, std::generic_category(), "x"); });
  child.start({});
  CHECK(end_of(child) == "ended with status 71");
}

TEST_CASE("the signal that killed a child is named") {
  supervisor::ChildCounters child_counters;
  Child child("sleeper", child_counters, [](int) -> int {
    for (;;) pause();
  });
  child.start({});
  child.kill(SIGKILL);
  CHECK(end_of(child) == "was killed by SIGKILL");
}

TEST_CASE("a child sees the end of its supervisor, whichever other children exist") {
  supervisor::ChildCounters first_counters;
  Child first("first", first_counters, [](int control_fd) {
    const auto message = process::receive_control(control_fd);
    return message->kind == Kind::Gone ? EX_OK : EX_SOFTWARE;
  });
  supervisor::ChildCounters second_counters;
  Child second("second", second_counters, [](int) -> int {
    for (;;) pause();
  });
  first.start({});
  second.start({first.control_fd()});
  const auto pid = first.pid();
  // Closes our end of the line of `first`; `second` must not have a copy of it.
  first.ended(true, supervisor::Clock::now());
  int status = -1;
  REQUIRE(waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
  second.kill(SIGKILL);
  end_of(second);
}

TEST_CASE("a child that does not read does not block its supervisor") {
  supervisor::ChildCounters child_counters;
  Child child("deaf", child_counters, [](int) -> int {
    for (;;) pause();
  });
  child.start({});
  bool refused = false;
  for (int i = 0; i < 100 && !refused; ++i) {
    refused = !child.send({Kind::Reload, std::string(100'000, 'x')});
  }
  CHECK(refused);
  child.kill(SIGKILL);
  end_of(child);
}

TEST_CASE("an account that does not exist is an error of the configuration") {
  config::Config config;
  config.general.user = "no-such-user-here";
  CHECK_THROWS_WITH(supervisor::find_account(config),
                    Catch::StartsWith("general.user: there is no user \"no-such-user-here\""));
  config.general.user = "nobody";
  config.filter.socket_group = "no-such-group-here";
  CHECK_THROWS_WITH(supervisor::find_account(config),
                    Catch::StartsWith("filter.socket_group: there is no group "
                                      "\"no-such-group-here\" (`addgroup --system"));
  config.filter.socket = {config::MilterSocket::Kind::Inet, "", "127.0.0.1", 8891};  // no group
  CHECK(supervisor::find_account(config).uid != 0);
}

TEST_CASE("an address that another program listens on is refused, though listeners share it") {
  config::Config config;
  config.capture.method = config::Capture::Method::Read;
  config.proxy.workers = 2;
  config.proxy.listen = {*net::Endpoint::parse("127.0.0.1:0")};
  // Any free port; taken by the listeners that a first segmilter would open.
  auto listeners = proxy::open_listeners(config.proxy);
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  REQUIRE(getsockname(listeners[0][0].get(), reinterpret_cast<sockaddr*>(&address), &length) == 0);
  config.proxy.listen = {*net::Endpoint::from(reinterpret_cast<sockaddr*>(&address))};
  try {
    supervisor::ProxyParts parts(config);
    FAIL("taken twice");
  } catch (const process::SetupError& error) {
    CHECK(error.code() == EX_UNAVAILABLE);
    CHECK(std::string(error.what()) ==
          "proxy.listen: bind " + config.proxy.listen[0].print() +
              ": Address already in use (by supervisor_supervisor_test, pid " +
              std::to_string(getpid()) + "; stop it, or set another address in proxy.listen)");
  }
  listeners.clear();
  supervisor::ProxyParts parts(config);
  CHECK(parts.inputs().size() == 2);
  CHECK(parts.inputs()[0].kernel_filter == nullptr);
  SECTION("and is free again as soon as that program stops listening") {
    parts.stop_listening();
    CHECK_NOTHROW(supervisor::ProxyParts(config));
  }
}
