// One child process of the supervisor. It is forked, spoken to over the control line, and started
// again when it dies.
//
//     Down ──start()──► Starting ──"ready"──► Ready
//       ▲                   │                   │
//       └──── ended() ──────┴───────────────────┘    with a time for the next start
//
// fork without exec: the child needs what was made with rights that are dropped by now. These are
// the listening sockets and the mapped ring of the kernel filter, and a mapping does not survive
// exec. The child also runs with the very configuration that the supervisor has checked.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "milter/net/fd.h"
#include "milter/process/control.h"
#include "milter/supervisor/counters.h"

namespace supervisor {

using Clock = std::chrono::steady_clock;

// How long to wait before the next start: not at all the first time, then 1 s, 2 s, 4 s … 30 s. A
// child that lived for at least kLongLife resets this. Chosen, not measured: shorter waits would
// burn a processor on a child that dies at once, longer ones leave the mail unlabelled after the
// cause is gone.
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

  // `body` is the whole life of the process. It is given its end of the control line and returns
  // the exit code. An exception that leaves it is logged. `counters` are kept up to date and must
  // outlive the object.
  Child(std::string name, ChildCounters& counters, std::function<int(int control_fd)> body);

  // Forks. `inherited`: descriptors of the supervisor that the child does not use and closes.
  // Throws std::system_error.
  void start(const std::vector<int>& inherited);
  // False when the child is not running or does not read the line any more.
  bool send(const process::ControlMessage& message);
  void kill(int signal);

  // To be called when the control line became readable. True when the child has just reported that
  // it serves. A request for another socket is kept for take_socket_requests().
  bool hear(Clock::time_point now);
  // The settings of the unix sockets whose paths are gone, as the child has reported since the last
  // call; an empty setting stands for its only socket.
  std::set<std::string> take_socket_requests() { return std::exchange(sockets_lost_, {}); }
  // How long a child may be silent. Chosen, not measured: with less a busy child could be killed,
  // with more a stuck one holds up mail for longer.
  static constexpr std::chrono::seconds kSilence{10};
  // Sends a ping. False when the child has not answered, or has not become ready, for kSilence: it
  // was stopped or is stuck.
  bool ping(Clock::time_point now);
  // Asks the child to let go of what it inherited, because another program takes over (upgrade.h).
  // Waits about 3 s for its answer. True: it has let go.
  bool hand_over();
  // Call this when the process is gone. `wanted`: do not start it again.
  void ended(bool wanted, Clock::time_point now);
  // Call this when start() has failed: it is tried again later.
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
  std::set<std::string> sockets_lost_;
  Clock::time_point started_;
  Clock::time_point heard_;  // when its last message came, or when it was started
  std::optional<Clock::time_point> next_start_;
  Backoff backoff_;
};

}  // namespace supervisor
