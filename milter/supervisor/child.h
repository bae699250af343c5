// One process of the supervisor's: forked, spoken to, and started again when it dies.
//
//     Down ──start()──► Starting ──"ready"──► Ready
//       ▲                   │                   │
//       └──── ended() ──────┴───────────────────┘    with a time for the next start
//
// fork without exec: the child needs what was made with rights that are gone by now, the listening
// sockets and the kernel filter's mapped ring, and a mapping does not survive exec. It also runs
// the very configuration that the supervisor has checked.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "milter/net/fd.h"
#include "milter/process/control.h"
#include "milter/supervisor/counters.h"

namespace supervisor {

using Clock = std::chrono::steady_clock;

// How long to wait before starting again: not at all the first time, then 1 s, 2 s, 4 s … 30 s,
// until a life of at least kLongLife begins it anew.
class Backoff {
 public:
  static constexpr std::chrono::seconds kLongLife{60};
  static constexpr std::chrono::seconds kMost{30};
  std::chrono::seconds after(Clock::duration life);

 private:
  int short_lives_ = 0;
};

// "ended with status 70", "was killed by SIGSEGV". `status` is waitpid's.
std::string describe_end(int status);

class Child {
 public:
  enum class State { Down, Starting, Ready };

  // `body` is the whole life of the process; it is given its end of the control line and returns
  // the exit code. What it throws is logged. `counters` are kept up to date, and outlives the object.
  Child(std::string name, ChildCounters& counters, std::function<int(int control_fd)> body);

  // Forks. `inherited`: descriptors of the supervisor's own that the child has no use for. Throws
  // std::system_error.
  void start(const std::vector<int>& inherited);
  // False when it is not there, or does not read any more.
  bool send(const process::ControlMessage& message);
  void kill(int signal);

  // The control line became readable. True when the child has just said that it serves. A request
  // for another socket is kept for take_socket_request().
  bool hear(Clock::time_point now);
  // Whether it has said that its unix socket has lost its path, since the last call.
  bool take_socket_request() { return std::exchange(socket_lost_, false); }
  // Asks whether it goes on. False when it has not answered, or not become ready, for kSilence:
  // stopped, or stuck.
  static constexpr std::chrono::seconds kSilence{10};
  bool ping(Clock::time_point now);
  // Tells it to let go of what it inherited, because another program takes over (upgrade.h). Waits
  // for its answer, for 3 s at most; true: it has let go.
  bool hand_over();
  // Its process is gone; `wanted`: no new start.
  void ended(bool wanted, Clock::time_point now);
  // start() has failed: try again later.
  void postpone(Clock::time_point now) { ended(false, now); }

  const std::string& name() const { return name_; }
  State state() const { return state_; }
  pid_t pid() const { return pid_; }                 // 0: Down
  int control_fd() const { return control_.get(); }  // -1: Down
  std::optional<Clock::time_point> next_start() const { return next_start_; }

 private:
  [[noreturn]] void live(int control_fd);

  const std::string name_;
  ChildCounters& counters_;
  const std::function<int(int)> body_;
  State state_ = State::Down;
  pid_t pid_ = 0;
  net::Fd control_;
  bool socket_lost_ = false;
  Clock::time_point started_;
  Clock::time_point heard_;  // when it last said a word, or was started
  std::optional<Clock::time_point> next_start_;
  Backoff backoff_;
};

}  // namespace supervisor
