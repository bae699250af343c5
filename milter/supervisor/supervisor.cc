#include "milter/supervisor/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "milter/capture/wire_tap.h"
#include "milter/config/load.h"
#include "milter/desk/desk.h"
#include "milter/evidence/server.h"
#include "milter/filter/filter.h"
#include "milter/filter/socket.h"
#include "milter/log/log.h"
#include "milter/proxy/proxy.h"
#include "milter/supervisor/check_sockets.h"
#include "milter/supervisor/child.h"
#include "milter/supervisor/next_step.h"
#include "milter/supervisor/proxy_parts.h"
#include "milter/supervisor/rights.h"
#include "milter/supervisor/running_config.h"
#include "milter/supervisor/seccomp.h"
#include "milter/supervisor/setup_error.h"
#include "milter/supervisor/upgrade.h"
#include "milter/wire/wire.h"

namespace supervisor {
namespace {

using std::chrono::seconds;

// How often the children are asked whether they go on.
constexpr seconds kPing{2};
// On top of what a child is given to drain, before it is killed.
constexpr seconds kGrace{5};
// When the filter's turn comes, no client is left at the proxy; what Postfix still has open are
// sessions of other services, and default_action=accept lets their mail through.
constexpr seconds kFilterDrain{10};

constexpr const char* kFilter = "filter";

net::Fd open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD}) sigaddset(&set, number);
  net::check(sigprocmask(SIG_BLOCK, &set, nullptr), "block signals");
  std::signal(SIGPIPE, SIG_IGN);
  return net::Fd(net::check(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

void notify(const std::string& state) {
  (void)sd_notify(0, state.c_str());
}

// systemd compares this with the time at which it asked for the reload.
std::string monotonic_usec() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return fmt::format("MONOTONIC_USEC={}", now.tv_sec * 1'000'000LL + now.tv_nsec / 1000);
}

// `listening`: on these of proxy.listen.
std::string describe(const config::Config& config, const std::vector<net::Endpoint>& listening) {
  std::string text;
  if (!config.wire.ports.empty()) {
    text = fmt::format("wire observer on port {}", fmt::join(config.wire.ports, ", "));
  }
  for (const auto& listen : listening) {
    text += (text.empty() ? "proxy on " : ", ") + listen.print();
  }
  return text + (text.empty() ? "no observer; filter on " : "; filter on ") + config.filter.socket;
}

std::unique_ptr<capture::WireTap> open_tap(const config::Config& config) {
  static_assert(config::Wire::kMostPorts == capture::WireTap::kMostPorts);
  try {
    return std::make_unique<capture::WireTap>(
        capture::WireTap::Settings{.ports = config.wire.ports,
                                   .interface = config.wire.interface,
                                   .ring_bytes = config.capture.ring_bytes,
                                   .max_flows = config.wire.max_sessions});
  } catch (const std::exception& error) {
    const auto rights = next_step_rights("CAP_NET_RAW CAP_BPF CAP_PERFMON CAP_NET_ADMIN");
    throw SetupError(rights.empty() ? EX_UNAVAILABLE : EX_NOPERM,
                     fmt::format("wire.ports: {}{}", error.what(), rights));
  }
}

// The metrics page is optional: if its address cannot be bound, mail goes on without it.
std::vector<net::Fd> open_desk(const config::Desk& config) {
  try {
    return desk::open_listeners(config);
  } catch (const std::system_error& error) {
    std::string next;
    if (error.code() == std::errc::address_in_use) {
      next = next_step_taken(config.listen.front(), "desk.listen");
    } else if (is_forbidden(error.code())) {
      next = next_step_rights("CAP_NET_BIND_SERVICE");
    }
    logging::error(fmt::format("no metrics until the next start: {}{}", error.what(), next));
    return {};
  }
}

// systemd's watchdog (WatchdogSec) wants a word twice in its time; zero: there is none.
std::chrono::microseconds watchdog_period() {
  std::uint64_t usec = 0;
  return std::chrono::microseconds(sd_watchdog_enabled(0, &usec) > 0 ? usec / 2 : 0);
}

class Supervisor {
 public:
  // `running`: by value, so that a child that forgets its keys has no other copy of them.
  Supervisor(config::Config running, std::string file)
      : config_(std::move(running), file, config::Secrets::Read),
        file_(std::move(file)),
        signals_(open_signals()) {
    const auto& config = *config_;
    counts_->supervisor.began = time(nullptr);
    const auto handover = take_handover();
    if (handover) {
      leftovers_ = handover->children;
      parts_ = std::make_unique<ProxyParts>(config, *handover);
    } else {
      check_sockets(config, config::observes(config), true);
      if (!config.proxy.listen.empty()) parts_ = std::make_unique<ProxyParts>(config);
    }
    if (!config.wire.ports.empty()) tap_ = open_tap(config);
    const bool left = handover && !handover->desk.empty();
    desk_ = left ? adopt_listeners(handover->desk, config.desk.listen, "desk.listen")
                 : open_desk(config.desk);
    drop(config);
    confine(Part::Supervisor, config);
    // In the order in which they are drained.
    auto& lives = counts_->supervisor;
    const auto add = [this](const char* name, Life& life, std::function<int(int)> body) {
      children_.push_back(std::make_unique<Child>(name, life, std::move(body)));
    };
    if (parts_) add("proxy", lives.proxy, proxy_body());
    if (tap_) add("wire", lives.wire, wire_body());
    add(kFilter, lives.filter, filter_body());
    if (!desk_.empty()) add("desk", lives.desk, desk_body());
  }

  int run() {
    for (const auto& child : children_) start(*child);
    while (state_ != State::Done) {
      wait();
      start_due();
      look_after();
      drain_further();
    }
    logging::info("stopped");
    return code_;
  }

 private:
  enum class State {
    Starting,  // not all children have been ready yet: one that mail needs and that dies ends the
               // program
    Serving,
    Draining,  // children_[draining_] is asked to end; those before it are gone
    Done,
  };

  // A child keeps what is its own: if another is gone for good, nobody is to listen in its place.
  std::function<int(int)> proxy_body() {
    return [this](int control_fd) {
      desk_.clear();
      config_.forget_secrets();
      logging::open(config_->log, "proxy");
      return proxy::run(*config_, file_, parts_->inputs(), counts_->proxy, control_fd);
    };
  }

  std::function<int(int)> wire_body() {
    return [this](int control_fd) {
      desk_.clear();
      config_.forget_secrets();
      logging::open(config_->log, "wire");
      return wire::run(*config_, file_, *tap_, counts_->wire, control_fd);
    };
  }

  std::function<int(int)> filter_body() {
    return [this](int control_fd) {
      desk_.clear();
      parts_.reset();
      tap_.reset();
      logging::open(config_->log, "filter");
      return filter::run(*config_, file_, counts_->filter, control_fd);
    };
  }

  std::function<int(int)> desk_body() {
    return [this](int control_fd) {
      parts_.reset();
      tap_.reset();
      config_.forget_secrets();
      logging::open(config_->log, "desk");
      return desk::run(*config_, file_, desk_, *counts_, control_fd);
    };
  }

  void start(Child& child) {
    std::vector<int> inherited{signals_.get()};
    for (const auto& other : children_) {
      if (other->control_fd() >= 0) inherited.push_back(other->control_fd());
    }
    child.start(inherited);
  }

  void start_due() {
    for (const auto& child : children_) {
      if (!child->next_start() || *child->next_start() > Clock::now()) continue;
      try {
        if (is_proxy(*child)) parts_->resume_listening();
        start(*child);
        logging::info(fmt::format("{} is started again, pid {}", child->name(), child->pid()));
      } catch (const std::system_error& error) {
        logging::error(error.what());
        child->postpone(Clock::now());
      }
    }
  }

  // A child that was stopped or is stuck does not die by itself.
  void look_after() {
    const auto now = Clock::now();
    if (watchdog_.count() != 0 && now >= next_word_) {
      next_word_ = now + watchdog_;
      notify("WATCHDOG=1");
    }
    if (now < next_ping_) return;
    next_ping_ = now + kPing;
    for (const auto& child : children_) {
      if (child->ping(now) || state_ == State::Draining) continue;
      logging::error(fmt::format("{} (pid {}) has said nothing for {} s and is killed",
                                 child->name(), child->pid(), Child::kSilence.count()));
      child->kill(SIGKILL);
    }
  }

  // The next thing that happens by the clock, for poll.
  int timeout() const {
    Clock::time_point next = next_ping_;
    if (state_ == State::Draining) next = std::min(next, deadline_);
    if (watchdog_.count() != 0) next = std::min(next, next_word_);
    for (const auto& child : children_) {
      if (const auto start = child->next_start()) next = std::min(next, *start);
    }
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(left, 0));
  }

  void wait() {
    std::vector<pollfd> entries{{signals_.get(), POLLIN, 0}};
    for (const auto& child : children_) entries.push_back({child->control_fd(), POLLIN, 0});
    if (poll(entries.data(), entries.size(), timeout()) <= 0) return;
    for (std::size_t i = 0; i < children_.size(); ++i) {
      if (entries[i + 1].revents == 0) continue;
      if (children_[i]->hear(Clock::now())) on_ready();
      if (children_[i]->take_socket_request()) renew_socket(*children_[i]);
    }
    if (entries[0].revents != 0) on_signals();
  }

  // A child may not bind (seccomp.h), so its socket is made here and sent to it.
  void renew_socket(Child& child) {
    const bool filter = child.name() == kFilter;
    const auto path =
        filter ? filter::parse_socket(config_->filter.socket).path : config_->evidence.socket;
    const std::string setting = filter ? "filter.socket" : "evidence.socket";
    try {
      auto socket = filter ? net::listen_unix(path, config_->filter.socket_mode,
                                              filter::kMilterBacklog, "bind it anew")
                           : net::listen_unix(path, config_->evidence.socket_mode,
                                              evidence::Server::kBacklog, "bind it anew");
      if (filter) filter::give_to_group(path, config_->filter.socket_group);
      if (!child.send({ControlMessage::Kind::Socket, {}, std::move(socket)})) return;
      logging::warning(
          fmt::format("{}: {} was removed or replaced; it is bound anew", setting, path));
    } catch (const std::system_error& error) {
      auto& attempts = attempts_[filter];
      if (attempts.word.more(++attempts.failed, Clock::now()) == 0) return;
      logging::error(fmt::format("{}: {} no longer leads to this {}, and mail is not labelled: {}",
                                 setting, path, child.name(), error.what()));
    }
  }

  void on_signals() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      switch (info.ssi_signo) {
        case SIGCHLD:
          reap();
          break;
        case SIGHUP:
          reload();
          break;
        case SIGUSR2:
          upgrade();
          break;
        case SIGTERM:
        case SIGINT:
          stop(EX_OK);
          break;
      }
    }
  }

  void on_ready() {
    if (state_ != State::Starting) return;
    for (const auto& child : children_) {
      if (child->state() != Child::State::Ready) return;
    }
    state_ = State::Serving;
    const auto what =
        describe(*config_, parts_ ? parts_->addresses() : std::vector<net::Endpoint>());
    logging::info("ready: " + what);
    notify("READY=1\nSTATUS=" + what);
  }

  void reap() {
    for (const auto& child : children_) {
      int status = 0;
      if (child->pid() == 0 || waitpid(child->pid(), &status, WNOHANG) != child->pid()) continue;
      on_end(*child, status);
    }
    std::erase_if(leftovers_, [](pid_t pid) {
      int status = 0;
      if (waitpid(pid, &status, WNOHANG) != pid) return false;
      logging::info(fmt::format("pid {} of the program before {}", pid, describe_end(status)));
      return true;
    });
  }

  void on_end(Child& child, int status) {
    const bool was_ready = child.state() == Child::State::Ready;
    const auto end = fmt::format("{} (pid {}) {}", child.name(), child.pid(), describe_end(status));
    const bool again = state_ == State::Serving || (state_ == State::Starting && is_desk(child));
    child.ended(!again, Clock::now());
    if (again) {
      logging::error(end + "; it is started again");
      // Until then Postfix's own port is to answer, where the firewall lets it.
      const bool later = child.next_start() && *child.next_start() > Clock::now();
      if (later && is_proxy(child) && tproxy()) parts_->pause_listening();
      return;
    }
    if (state_ == State::Draining) {
      logging::info(end);
      return;
    }
    // What fails at the first start fails for a reason that the administrator has to mend.
    logging::error(end + (was_ready ? "" : " before it was ready"));
    const bool failed = WIFEXITED(status) && WEXITSTATUS(status) != EX_OK;
    stop(failed ? WEXITSTATUS(status) : EX_SOFTWARE);
  }

  void reload() {
    if (state_ == State::Draining) return;
    notify("RELOADING=1\n" + monotonic_usec());
    if (const auto text = config_.reload_file()) {
      logging::info(fmt::format("reload: {} is read and goes to the children", file_));
      hand_out(*text);
      ++counts_->supervisor.reloads;
    } else {
      ++counts_->supervisor.reloads_refused;
    }
    notify("READY=1");
  }

  void hand_out(const std::string& text) {
    for (const auto& child : children_) {
      if (child->state() == Child::State::Down) continue;  // will start with config_
      if (!child->send({ControlMessage::Kind::Reload, text})) {
        logging::error(fmt::format("reload: {} does not listen", child->name()));
      }
    }
  }

  // Returns only where it cannot be done; then everything stays.
  void upgrade() {
    const auto program = own_program();
    std::string why;
    if (state_ != State::Serving) why = "not all children are ready";
    if (why.empty() && !parts_) why = "only a proxy has sockets to hand over: restart instead";
    if (why.empty()) why = why_no_upgrade(program, *config_, file_);
    if (!why.empty()) {
      logging::error(fmt::format("upgrade refused: {}", why));
      return;
    }
    logging::info(fmt::format("upgrade: {} takes over", program));
    notify("RELOADING=1\n" + monotonic_usec());
    auto handover = parts_->hand_over();
    for (const auto& listener : desk_) handover.desk.push_back(listener.get());
    handover.children = leftovers_;
    for (const auto& child : children_) {
      if (!let_go(*child)) child->kill(SIGKILL);
      if (child->pid() != 0) handover.children.push_back(child->pid());
    }
    try {
      leave_handover(handover);
      why = become(program, file_);
    } catch (const std::system_error& error) {
      why = error.what();
    }
    take_back_handover(handover);
    // The children have let go; new ones are started as they end.
    logging::error(fmt::format("upgrade failed: {}", why));
    for (const auto& child : children_) child->kill(SIGKILL);
  }

  // True when the child has said that it is another program's turn.
  static bool let_go(Child& child) {
    constexpr int kWaitMs = 3000;
    if (!child.send({ControlMessage::Kind::Handover, {}})) return false;
    const auto deadline = Clock::now() + std::chrono::milliseconds(kWaitMs);
    pollfd line{child.control_fd(), POLLIN, 0};
    while (Clock::now() < deadline && poll(&line, 1, kWaitMs) > 0) {
      // An answer to a ping may come first; the next one is to the handover, at most one is
      // pending.
      const auto message = receive_control(line.fd);
      if (message && message->kind == ControlMessage::Kind::HandedOver) return true;
      if (message && message->kind == ControlMessage::Kind::Gone) return false;
    }
    return false;
  }

  void stop(int code) {
    if (state_ == State::Draining) {
      logging::warning("told twice to end: at once");
      for (const auto& child : children_) child->kill(SIGKILL);
      leftovers_deadline_ = Clock::now();
      return;
    }
    code_ = code;
    state_ = State::Draining;
    leftovers_deadline_ = Clock::now() + config_->proxy.longest_drain() + kGrace;
    logging::info("draining");
    notify("STOPPING=1\nSTATUS=draining");
    // None is started again; those that wait for it are gone.
    for (const auto& child : children_) {
      if (child->state() == Child::State::Down) child->ended(true, Clock::now());
    }
    drain(0);
  }

  // Asks children_[index] to end.
  void drain(std::size_t index) {
    draining_ = index;
    auto& child = *children_[index];
    (void)child.send({ControlMessage::Kind::Drain, {}});
    const bool proxy = is_proxy(child);
    if (proxy) parts_->stop_listening();
    const auto& limits = config_->proxy;
    deadline_ = Clock::now() + kGrace +
                (proxy ? limits.longest_drain() : std::min(limits.drain_timeout, kFilterDrain));
  }

  // What the program before has left drains to a deadline of its own, which is not later.
  void finish() {
    deadline_ = leftovers_deadline_;
    if (!leftovers_.empty() && Clock::now() < deadline_) return;
    for (const pid_t pid : leftovers_) (void)::kill(pid, SIGKILL);
    state_ = State::Done;
  }

  bool is_proxy(const Child& child) const { return parts_ && &child == children_.front().get(); }
  bool is_desk(const Child& child) const {
    return !desk_.empty() && &child == children_.back().get();
  }
  bool tproxy() const { return !config_->proxy.tproxy_ports.empty(); }

  void drain_further() {
    if (state_ != State::Draining) return;
    while (children_[draining_]->state() == Child::State::Down) {
      if (draining_ + 1 == children_.size()) return finish();
      drain(draining_ + 1);
    }
    if (Clock::now() < deadline_) return;
    logging::warning(
        fmt::format("{} has not drained in time and is killed", children_[draining_]->name()));
    children_[draining_]->kill(SIGKILL);
    deadline_ = Clock::now() + kGrace;
  }

  RunningConfig config_;  // what a child that is started now is given
  const std::string file_;
  const desk::SharedCounts counts_ = desk::share_counts();
  net::Fd signals_;
  std::vector<net::Fd> desk_;              // listening; empty: no desk
  std::unique_ptr<ProxyParts> parts_;      // null: no proxy
  std::unique_ptr<capture::WireTap> tap_;  // null: no wire observer
  std::vector<std::unique_ptr<Child>> children_;
  // Attempts to bind a socket anew that failed: the observer's, the filter's.
  struct Attempts {
    std::uint64_t failed = 0;
    logging::Sometimes word;
  };
  Attempts attempts_[2];
  std::vector<pid_t> leftovers_;  // of the program before: they drain, and are waited for
  State state_ = State::Starting;
  std::size_t draining_ = 0;
  Clock::time_point deadline_;
  Clock::time_point leftovers_deadline_;
  Clock::time_point next_ping_ = Clock::now() + kPing;
  const std::chrono::microseconds watchdog_ = watchdog_period();  // zero: systemd has none
  Clock::time_point next_word_ = Clock::now() + watchdog_;
  int code_ = EX_OK;
};

// One part alone may have another segmilter for the rest, so that what only holds for the whole is
// left to run().
void begin(const config::Config& config, std::string_view process) {
  logging::open(config.log, process);
  for (const auto& warning : config::warnings(config)) logging::warning(warning);
}

}  // namespace

int run(config::Config config, const std::string& config_file) {
  begin(config, "supervisor");
  const auto unobserved = config::why_unobserved(config);
  if (!unobserved.empty()) logging::warning(unobserved);
  return Supervisor(std::move(config), config_file).run();
}

int run_proxy(config::Config config, const std::string& config_file) {
  if (config.proxy.listen.empty()) {
    throw SetupError(EX_CONFIG,
                     config_file + ": proxy.listen: names no address, so there is no proxy");
  }
  config::forget_secrets(config);
  begin(config, "proxy");
  check_sockets(config, true, false);
  const ProxyParts parts(config);
  drop(config);
  proxy::Counters counters;
  return proxy::run(config, config_file, parts.inputs(), counters, -1);
}

int run_wire(config::Config config, const std::string& config_file) {
  if (config.wire.ports.empty()) {
    throw SetupError(EX_CONFIG,
                     config_file + ": wire.ports: names no port, so there is nothing to observe");
  }
  config::forget_secrets(config);
  begin(config, "wire");
  check_sockets(config, true, false);
  const auto tap = open_tap(config);
  drop(config);
  wire::Counters counters;
  return wire::run(config, config_file, *tap, counters, -1);
}

int run_filter(const config::Config& config, const std::string& config_file) {
  begin(config, "filter");
  check_sockets(config, false, true);
  drop(config);
  filter::Counters counters;
  return filter::run(config, config_file, counters, -1);
}

}  // namespace supervisor
