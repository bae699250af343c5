#include "milter/supervisor/supervisor.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "milter/config/checks.h"
#include "milter/config/load.h"
#include "milter/log/log.h"
#include "milter/process/running_config.h"
#include "milter/process/seccomp.h"
#include "milter/process/setup_error.h"
#include "milter/supervisor/child.h"
#include "milter/supervisor/children.h"
#include "milter/supervisor/counts.h"
#include "milter/supervisor/rights.h"
#include "milter/supervisor/systemd.h"
#include "milter/supervisor/upgrade.h"

namespace supervisor {
namespace {

using std::chrono::seconds;

// How often the children are pinged. 2 s gives a child several chances within Child::kSilence (10
// s). upgrade.cc relies on this number too.
constexpr seconds kPing{2};
// How much longer than its drain time a child may take before it is killed. Chosen, not measured:
// children end within their drain time by themselves, so only a stuck child meets this limit.
constexpr seconds kGrace{5};

net::Fd open_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR2, SIGCHLD}) sigaddset(&set, number);
  net::check(sigprocmask(SIG_BLOCK, &set, nullptr), "block signals");
  std::signal(SIGPIPE, SIG_IGN);
  return net::Fd(net::check(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd"));
}

// `listening`: the addresses of proxy.listen that have a socket.
std::string describe(const config::Config& config, const std::vector<net::Endpoint>& listening) {
  std::string text;
  if (!config.wire.ports.empty()) {
    text = fmt::format("wire observer on port {}", fmt::join(config.wire.ports, ", "));
  }
  for (const auto& listen : listening) {
    text += (text.empty() ? "proxy on " : ", ") + listen.print();
  }
  return text + (text.empty() ? "no observer; filter on " : "; filter on ") +
         config.filter.socket.print();
}

class Supervisor {
 public:
  // `running` is taken by value: a child that forgets its keys must not have another copy of them.
  Supervisor(config::Config running, std::string file)
      : config_(std::move(running), file, config::Secrets::Read),
        file_(std::move(file)),
        signals_(open_signals()) {
    const auto& config = *config_;
    counts_->supervisor.began = static_cast<std::uint64_t>(time(nullptr));
    const auto handover = take_handover();
    if (handover) leftovers_ = handover->children;
    open(config, handover ? &*handover : nullptr);
    drop(config);
    process::confine(process::Part::Supervisor, config);
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
    // Not all children have been ready yet. If one that the mail needs dies now, the program ends.
    Starting,
    Serving,
    // children_[draining_] was asked to end; those before it in the list are gone.
    Draining,
    Done,
  };

  // A child with its row of the table. `failed` counts attempts to bind its socket again that
  // failed.
  struct KnownChild final : Child {
    KnownChild(const ChildKind& row, ChildCounters& counters, std::function<int(int)> body)
        : Child(row.name, counters, std::move(body)), kind(row) {}
    const ChildKind& kind;
    std::uint64_t failed = 0;
    logging::RateLimit word;
  };

  // What the children need is opened before the rights are dropped.
  void open(const config::Config& config, const Handover* handover) {
    std::vector<const ChildKind*> wanted;
    for (const auto& kind : child_kinds()) {
      if (kind.wanted(config)) wanted.push_back(&kind);
    }
    // All sockets are checked before any is opened, because the checks have the better messages.
    for (const auto* kind : wanted) {
      if (handover == nullptr) check_sockets(*kind, config);
    }
    for (const auto* kind : wanted) {
      if (!kind->open(config, handover, opened_)) continue;
      children_.push_back(std::make_unique<KnownChild>(
          *kind, counters_of(*kind, *counts_),
          [this, kind](int control_fd) { return live(*kind, control_fd); }));
    }
  }

  // The whole life of a child, in its own process.
  int live(const ChildKind& kind, int control_fd) {
    Opened own;
    kind.keep(opened_, own);
    opened_ = std::move(own);
    if (!kind.has_keys) config_.forget_secrets();
    logging::open(config_->log, kind.name);
    return kind.run(
        {.config = *config_, .config_file = file_, .part = kind.part, .control_fd = control_fd},
        opened_, *counts_);
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
        if (child->kind.takes_clients) opened_.proxy->resume_listening();
        start(*child);
        logging::info(fmt::format("{} is started again, pid {}", child->name(), child->pid()));
      } catch (const std::system_error& error) {
        logging::error(error.what());
        child->postpone(Clock::now());
      }
    }
  }

  // Kills children that do not answer: a child that was stopped or is stuck does not die by itself.
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
      logging::error(fmt::format("{} (pid {}) has not responded for {} s and is killed",
                                 child->name(), child->pid(), Child::kSilence.count()));
      child->kill(SIGKILL);
    }
  }

  // Milliseconds for poll until the next thing that happens by the clock.
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
      for (auto& lost : children_[i]->take_socket_requests()) renew_socket(*children_[i], lost);
    }
    if (entries[0].revents != 0) on_signals();
  }

  // A child may not bind (process/seccomp.h), so its socket is made here and sent to the child.
  void renew_socket(KnownChild& child, const std::string& setting) {
    const auto* socket = socket_of(child.kind, *config_, setting);
    if (socket == nullptr) return;
    const auto path = socket->path(*config_);
    try {
      auto bound = socket->bind(*config_);
      if (!child.send({process::ControlMessage::Kind::Socket, setting, std::move(bound)})) return;
      logging::warning(fmt::format("{}: {} was removed or replaced; it is created again",
                                   socket->setting, path));
    } catch (const std::system_error& error) {
      if (child.word.more(++child.failed, Clock::now()) == 0) return;
      logging::error(fmt::format("{}: {} no longer leads to this {}: {}", socket->setting, path,
                                 child.name(), error.what()));
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
    const auto what = describe(
        *config_, opened_.proxy ? opened_.proxy->addresses() : std::vector<net::Endpoint>());
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
      logging::info(fmt::format("pid {} of the previous program {}", pid, describe_end(status)));
      return true;
    });
  }

  void on_end(KnownChild& child, int status) {
    const bool was_ready = child.state() == Child::State::Ready;
    const auto end = fmt::format("{} (pid {}) {}", child.name(), child.pid(), describe_end(status));
    const bool again =
        state_ == State::Serving || (state_ == State::Starting && !child.kind.needed);
    child.ended(!again, Clock::now());
    if (again) {
      logging::error(end + "; it is started again");
      // Until the next start Postfix's own port should answer, where the firewall lets it.
      const bool later = child.next_start() && *child.next_start() > Clock::now();
      if (later && child.kind.takes_clients && tproxy()) opened_.proxy->pause_listening();
      return;
    }
    if (state_ == State::Draining) {
      logging::info(end);
      return;
    }
    // A failure at the first start has a cause that the administrator has to fix: no second try.
    logging::error(end + (was_ready ? "" : " before it was ready"));
    const bool failed = WIFEXITED(status) && WEXITSTATUS(status) != EX_OK;
    stop(failed ? WEXITSTATUS(status) : EX_SOFTWARE);
  }

  void reload() {
    if (state_ == State::Draining) return;
    notify_reloading();
    if (const auto text = config_.reload_file()) {
      logging::info(fmt::format("reload: {} is read, and each process receives it", file_));
      hand_out(*text);
      ++counts_->supervisor.reloads;
    } else {
      ++counts_->supervisor.reloads_refused;
    }
    notify("READY=1");
  }

  void hand_out(const std::string& text) {
    for (const auto& child : children_) {
      // It will start with config_.
      if (child->state() == Child::State::Down) continue;
      if (!child->send({process::ControlMessage::Kind::Reload, text})) {
        logging::error(
            fmt::format("reload: {} does not take the new configuration", child->name()));
      }
    }
  }

  // Returns only if the upgrade is not possible or failed. If it was refused, nothing has changed.
  void upgrade() {
    const auto program = own_program();
    std::string why;
    if (state_ != State::Serving) why = "not all processes are ready";
    if (why.empty() && !opened_.proxy)
      why = "only the proxy's sockets can be handed over, and there is no proxy: restart instead";
    if (why.empty()) why = why_no_upgrade(program, *config_, file_);
    if (!why.empty()) {
      logging::error(fmt::format("upgrade refused: {}", why));
      return;
    }
    logging::info(fmt::format("upgrade: {} takes over", program));
    notify_reloading();
    auto handover = opened_.proxy->hand_over();
    for (const auto& listener : opened_.desk) handover.desk.push_back(listener.get());
    handover.reputations = opened_.reputations.get();
    handover.children = leftovers_;
    for (const auto& child : children_) {
      if (!child->hand_over()) child->kill(SIGKILL);
      if (child->pid() != 0) handover.children.push_back(child->pid());
    }
    try {
      leave_handover(handover);
      why = become(program, file_);
    } catch (const std::system_error& error) {
      why = error.what();
    }
    take_back_handover(handover);
    // The children have already let go of their sockets. They are killed here, and on_end() starts
    // new ones.
    logging::error(fmt::format("upgrade failed: {}", why));
    for (const auto& child : children_) child->kill(SIGKILL);
  }

  void stop(int code) {
    if (state_ == State::Draining) {
      logging::warning("a second signal to end: stopping at once");
      for (const auto& child : children_) child->kill(SIGKILL);
      leftovers_deadline_ = Clock::now();
      return;
    }
    code_ = code;
    state_ = State::Draining;
    leftovers_deadline_ = Clock::now() + config_->proxy.longest_drain() + kGrace;
    logging::info("draining");
    notify("STOPPING=1\nSTATUS=draining");
    // No child is started again. A child that waits for its next start is already gone.
    for (const auto& child : children_) {
      if (child->state() == Child::State::Down) child->ended(true, Clock::now());
    }
    drain(0);
  }

  // Asks children_[index] to end.
  void drain(std::size_t index) {
    draining_ = index;
    auto& child = *children_[index];
    (void)child.send({process::ControlMessage::Kind::Drain, {}});
    if (child.kind.takes_clients) opened_.proxy->stop_listening();
    deadline_ = Clock::now() + child.kind.drain_time(*config_) + kGrace;
  }

  // The children of the previous program drain until leftovers_deadline_, and then the program
  // ends.
  void finish() {
    deadline_ = leftovers_deadline_;
    if (!leftovers_.empty() && Clock::now() < deadline_) return;
    for (const pid_t pid : leftovers_) (void)::kill(pid, SIGKILL);
    state_ = State::Done;
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
        fmt::format("{} did not drain in time and is killed", children_[draining_]->name()));
    children_[draining_]->kill(SIGKILL);
    deadline_ = Clock::now() + kGrace;
  }

  process::RunningConfig config_;  // a child that is started now gets this
  const std::string file_;
  const SharedCounts counts_ = share_counts();
  net::Fd signals_;
  Opened opened_;
  std::vector<std::unique_ptr<KnownChild>> children_;
  std::vector<pid_t> leftovers_;  // children of the previous program: they drain and are waited for
  State state_ = State::Starting;
  std::size_t draining_ = 0;
  Clock::time_point deadline_;
  Clock::time_point leftovers_deadline_;
  Clock::time_point next_ping_ = Clock::now() + kPing;
  const std::chrono::microseconds watchdog_ = watchdog_period();  // zero: systemd has no watchdog
  Clock::time_point next_word_ = Clock::now() + watchdog_;
  int code_ = EX_OK;
};

// For run() and run_alone(). A process that runs alone may have another segmilter for the other
// parts, so warnings that concern all parts together are given in run().
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

int run_alone(std::string_view name, config::Config config, const std::string& config_file) {
  const auto& kind = child_kind(name);
  if (!kind.wanted(config)) {
    throw process::SetupError(EX_CONFIG, config_file + ": " + kind.not_wanted);
  }
  if (!kind.has_keys) config::forget_secrets(config);
  begin(config, name);
  check_sockets(kind, config);
  Opened opened;
  if (!kind.open(config, nullptr, opened)) return EX_UNAVAILABLE;  // the log says why
  drop(config);
  const auto counts = share_counts();
  return kind.run({.config = config, .config_file = config_file, .part = kind.part}, opened,
                  *counts);
}

}  // namespace supervisor
