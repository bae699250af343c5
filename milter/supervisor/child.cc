#include "milter/supervisor/child.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>

#include "milter/log/log.h"

namespace supervisor {
namespace {

void reset_signals() {
  for (const int number : {SIGHUP, SIGTERM, SIGINT, SIGUSR2, SIGCHLD, SIGPIPE}) {
    std::signal(number, SIG_DFL);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

std::chrono::seconds Backoff::after(Clock::duration life) {
  if (life >= kLongLife) short_lives_ = 0;
  const int before = short_lives_++;
  if (before == 0) return std::chrono::seconds(0);
  return std::min(std::chrono::seconds(1 << std::min(before - 1, 10)), kMost);
}

std::string describe_end(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = sigabbrev_np(WTERMSIG(status));
    return fmt::format("was killed by SIG{}",
                       name != nullptr ? name : std::to_string(WTERMSIG(status)));
  }
  return fmt::format("ended with status {}", WEXITSTATUS(status));
}

Child::Child(std::string name, ChildCounters& counters, std::function<int(int)> body)
    : name_(std::move(name)), counters_(counters), body_(std::move(body)) {}

void Child::start(const std::vector<int>& inherited) {
  auto [ours, theirs] = process::control_pair();
  // A child that hangs must not hang the supervisor with it.
  net::check(fcntl(ours.get(), F_SETFL, O_NONBLOCK), "fcntl");
  const pid_t pid = net::check(fork(), "fork the " + name_);
  if (pid == 0) {
    // These include the other children's control lines: their end of file must come when the
    // supervisor ends.
    for (const int fd : inherited) ::close(fd);
    ours.reset();
    live(theirs.get());
  }
  pid_ = pid;
  control_ = std::move(ours);
  state_ = State::Starting;
  started_ = heard_ = Clock::now();
  next_start_.reset();
  ++counters_.starts;
}

// No PR_SET_PDEATHSIG: the end of file on the control line says the same, and it cannot be missed
// between fork and prctl. A TERM in addition would count as the second request to end, which means
// "at once".
void Child::live(int control_fd) {
  reset_signals();
  // Ctrl-C on a terminal reaches the supervisor alone, which drains the children in order.
  (void)setpgid(0, 0);
  (void)prctl(PR_SET_NAME, ("segm-" + name_).c_str(), 0, 0, 0);
  int code = EX_SOFTWARE;
  try {
    code = body_(control_fd);
  } catch (const std::system_error& error) {
    logging::error(error.what());
    code = error.code() == std::errc::address_in_use ? EX_UNAVAILABLE : EX_OSERR;
  } catch (const std::exception& error) {
    logging::error(error.what());
  }
  std::fflush(nullptr);
  // Not exit(): the static objects are copies of the supervisor's, and libmilter's threads may
  // still run.
  _exit(code);
}

bool Child::send(const process::ControlMessage& message) {
  return control_ && process::send_control(control_.get(), message);
}

void Child::kill(int signal) {
  if (pid_ > 0) (void)::kill(pid_, signal);
}

bool Child::hand_over() {
  using Kind = process::ControlMessage::Kind;
  // A child lets go as soon as its loop reads the message. 3 s was chosen, not measured: a shorter
  // wait would kill busy children and cut their sessions, a longer one delays the upgrade when a
  // child is stuck.
  constexpr int kWaitMs = 3000;
  if (!send({Kind::Handover, {}})) return false;
  const auto deadline = Clock::now() + std::chrono::milliseconds(kWaitMs);
  pollfd line{control_.get(), POLLIN, 0};
  while (Clock::now() < deadline && poll(&line, 1, kWaitMs) > 0) {
    // The answer to a ping may come first (at most one is pending). The next message answers the
    // handover.
    const auto message = process::receive_control(line.fd);
    if (message && message->kind == Kind::HandedOver) return true;
    if (message && message->kind == Kind::Gone) return false;
  }
  return false;
}

bool Child::ping(Clock::time_point now) {
  if (state_ == State::Down) return true;
  if (state_ == State::Ready) (void)send({process::ControlMessage::Kind::Ping, {}});
  return now - heard_ < kSilence;
}

bool Child::hear(Clock::time_point now) {
  const auto message = process::receive_control(control_.get());
  if (!message) return false;
  heard_ = now;
  if (message->kind == process::ControlMessage::Kind::Gone)
    // SIGCHLD reports the end of the process itself.
    control_.reset();
  if (message->kind == process::ControlMessage::Kind::SocketLost)
    sockets_lost_.insert(message->text);
  if (message->kind != process::ControlMessage::Kind::Ready || state_ != State::Starting)
    return false;
  state_ = State::Ready;
  counters_.serves = true;
  return true;
}

void Child::ended(bool wanted, Clock::time_point now) {
  pid_ = 0;
  control_.reset();
  state_ = State::Down;
  counters_.serves = false;
  next_start_.reset();
  if (!wanted) next_start_ = now + backoff_.after(now - started_);
}

}  // namespace supervisor
