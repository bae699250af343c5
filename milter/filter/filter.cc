// Set-up, the control line to the supervisor, and the end.
//
//     run() ── main thread: control loop (drain, reload) ─┐
//       ├──── thread: smfi_main() ─ libmilter's threads ──┴─► callbacks ─► MemorySink's queue
//       └──── thread of MemorySink: from its queue to the memory process
//
// smfi_main() does not run in the main thread, so that libmilter does not get the signals. It
// blocks HUP, TERM and INT in the thread that calls it and waits for them in another thread, and
// each of them (HUP too) ends it at once with all its sessions. Here the signals are ignored, and
// the main thread does not block them. So the kernel discards them before libmilter's thread could
// take them, and the supervisor uses the control line instead. Without a supervisor the main thread
// takes the signals, before libmilter's thread could, and does what the supervisor would ask for.
#include "milter/filter/filter.h"

#include <fmt/format.h>
#include <libmilter/mfapi.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sysexits.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <memory>
#include <stdexcept>
#include <thread>

#include "milter/filter/callbacks.h"
#include "milter/filter/memory_sink.h"
#include "milter/filter/message_log.h"
#include "milter/filter/policy_answers.h"
#include "milter/filter/service.h"
#include "milter/filter/socket.h"
#include "milter/log/log.h"
#include "milter/policy_service/server.h"
#include "milter/process/control.h"
#include "milter/process/running_config.h"
#include "milter/process/seccomp.h"
#include "milter/reputation/reader.h"

namespace filter {
namespace {

using process::ControlMessage;
using Reputations = std::unique_ptr<reputation::Reader>;  // null: there is no table

// How often the breaker, the counters and the socket are looked at. Chosen, not measured: a lost
// socket is noticed within a second.
constexpr int kTickMs = 1000;

// When accept() finds no free descriptor, libmilter spins without a pause. So raise the limit as
// far as possible.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

constexpr eventfd_t kFailed = 1;
constexpr eventfd_t kStopped = 2;

// Starts smfi_main() in a new thread. The returned descriptor becomes readable when it has
// returned, and has one of the two numbers. The thread is never joined: see drain().
int start_milter() {
  const int ended = net::check(eventfd(0, EFD_CLOEXEC), "eventfd");
  std::thread([ended] {
    (void)eventfd_write(ended, smfi_main() == MI_SUCCESS ? kStopped : kFailed);
  }).detach();
  return ended;
}

// The sockets at which Postfix asks.
class Sockets {
 public:
  // `policy`: null if there is no policy service.
  Sockets(Listener& milter, policy_service::Server* policy) : milter_(milter), policy_(policy) {}

  // At most once a tick, although the sockets are checked after each message of the supervisor too.
  void report_lost(int control_fd) {
    const auto now = std::chrono::steady_clock::now();
    if (now < again_) return;
    again_ = now + std::chrono::milliseconds(kTickMs);
    const auto report = [control_fd](std::string_view setting) {
      (void)process::send_control(control_fd,
                                  {ControlMessage::Kind::SocketLost, std::string(setting)});
    };
    if (milter_.lost()) report(kMilter);
    if (policy_ != nullptr && policy_->lost()) report(kPolicy);
  }
  void serve_at(std::string_view setting, net::Fd socket) {
    if (!socket) return;
    if (setting == kMilter && milter_.lost()) milter_.serve_at(std::move(socket));
    if (setting == kPolicy && policy_ != nullptr && policy_->lost()) {
      policy_->serve_at(std::move(socket));
    }
  }
  void hide() {
    milter_.hide();
    if (policy_ != nullptr) policy_->hide();
  }

 private:
  static constexpr std::string_view kMilter = "filter.socket";
  static constexpr std::string_view kPolicy = "policy_service.socket";

  Listener& milter_;
  policy_service::Server* const policy_;
  std::chrono::steady_clock::time_point again_{};
};

// A key file or a file of networks that cannot be read is no reason to leave mail without labels.
Reputations read_reputations(const config::Config& config, const MemoryLine& memory) {
  if (memory.reputations < 0) return nullptr;
  try {
    return std::make_unique<reputation::Reader>(reputation::TableView(memory.reputations),
                                                reputation::start_rules(config),
                                                memory.reputation_counters);
  } catch (const std::exception& error) {
    logging::error(fmt::format("{}; messages are judged without reputation until the next start",
                               error.what()));
    return nullptr;
  }
}

void reload_reputations(const config::Config& config, reputation::Reader* reputations) {
  if (reputations == nullptr) return;
  try {
    reputations->replace(reputation::read_rules(config));
  } catch (const std::exception& error) {
    logging::error(fmt::format("{}; reputations are read as before", error.what()));
  }
}

void reloaded(const process::RunningConfig& running, Service& service,
              reputation::Reader* reputations) {
  service.replace(running.share());
  reload_reputations(*running, reputations);
  logging::info("configuration reloaded");
}

// Returns when the supervisor wants us to drain (true) or libmilter has ended (false).
bool serve(Service& service, int control_fd, int ended_fd, process::RunningConfig& running,
           Sockets& sockets, reputation::Reader* reputations) {
  for (;;) {
    pollfd entries[] = {{control_fd, POLLIN, 0}, {ended_fd, POLLIN, 0}};
    const int ready = poll(entries, 2, kTickMs);
    service.tick(std::chrono::steady_clock::now());
    sockets.report_lost(control_fd);
    if (ready <= 0) continue;  // timeout, or EINTR
    if (entries[1].revents != 0) return false;
    if (entries[0].revents == 0) continue;
    auto message = process::receive_control(control_fd);
    if (!message) continue;
    switch (message->kind) {
      case ControlMessage::Kind::Reload:
        if (running.reload(message->text)) reloaded(running, service, reputations);
        service.log_counters();
        break;
      case ControlMessage::Kind::Handover:
        sockets.hide();  // before the next filter checks whether their places are free
        (void)process::send_control(control_fd, {ControlMessage::Kind::HandedOver, {}});
        return true;
      case ControlMessage::Kind::Drain:
      case ControlMessage::Kind::Gone:
        return true;
      case ControlMessage::Kind::Ping:
        (void)process::send_control(control_fd, {ControlMessage::Kind::Pong, {}});
        break;
      case ControlMessage::Kind::Socket:
        sockets.serve_at(message->text, std::move(message->socket));
        break;
      case ControlMessage::Kind::Ready:
      case ControlMessage::Kind::Pong:
      case ControlMessage::Kind::HandedOver:
      case ControlMessage::Kind::SocketLost:
        break;
    }
  }
}

// Written by signals, where there is no supervisor.
volatile std::sig_atomic_t told_to_drain = 0;
volatile std::sig_atomic_t told_to_reload = 0;

// As serve(), where signals give the orders. It notices them within a tick. In the moment in which
// libmilter's thread begins to wait for signals it may take one before the main thread does, and ends
// libmilter some seconds later, without a failure.
bool serve_alone(Service& service, int ended_fd, process::RunningConfig& running,
                 reputation::Reader* reputations) {
  while (told_to_drain == 0) {
    pollfd entry{ended_fd, POLLIN, 0};
    const int ready = poll(&entry, 1, kTickMs);
    service.tick(std::chrono::steady_clock::now());
    eventfd_t answer = kFailed;
    if (ready > 0) return eventfd_read(ended_fd, &answer) == 0 && answer == kStopped;
    if (told_to_reload == 0) continue;
    told_to_reload = 0;
    if (running.reload_file()) reloaded(running, service, reputations);
    service.log_counters();
  }
  return true;
}

// After this the process ends while libmilter still waits for work. smfi_stop() is not used: it
// abandons the open sessions, takes up to 5 s (its listener sleeps while it holds the lock that is
// needed), and then destroys mutexes that libmilter's own threads still use.
void drain(Service& service, Sockets& sockets) {
  sockets.hide();
  const auto timeout = service.settings()->proxy.drain_timeout;
  if (!service.wait_until_idle(std::chrono::steady_clock::now() + timeout)) {
    logging::warning("drain timeout: milter sessions that are still open are abandoned");
  }
  service.log_counters();
}

void register_milter(Service& service, std::chrono::seconds timeout) {
  if (smfi_register(describe(service)) != MI_SUCCESS) {
    throw std::runtime_error("libmilter refuses the filter's description");
  }
  (void)smfi_settimeout(static_cast<int>(timeout.count()));
}

// The signals are unblocked, whatever was inherited: a blocked signal would stay pending for
// libmilter's thread.
void set_signals(void (*on_end)(int), void (*on_reload)(int)) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGHUP, SIGTERM, SIGINT}) {
    std::signal(number, number == SIGHUP ? on_reload : on_end);
    sigaddset(&set, number);
  }
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

// Handles signals as the other processes do without a supervisor (process/orders.h). A second
// signal ends the process at once.
void take_signals() {
  set_signals(
      [](int number) {
        told_to_drain = 1;
        std::signal(number, SIG_DFL);
      },
      [](int) { told_to_reload = 1; });
}

// What the policy service is told of a client: a client of which nothing was learnt is not known.
PolicyAnswers::Ask background_of(const Service& service) {
  const reputation::Reader* reputations = service.reputations();
  if (reputations == nullptr) return {};
  return [&service, reputations](const net::Endpoint& client) {
    PolicyAnswers::Background background;
    if (!service.settings()->reputation.enabled) return background;
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    const auto standing = reputations->look_up(client, {}, now);
    if (!standing) return background;
    if (!standing->levels.empty()) background.reputation = standing->term;
    background.access = config::access_bit(reputation::name(standing->network.access));
    return background;
  };
}

// Null: there is no policy service.
std::unique_ptr<policy_service::Server> serve_policy(net::Fd listener, const config::Config& config,
                                                     Service& service, PolicyAnswers& answers,
                                                     policy_service::Counters& counters) {
  if (!listener) return nullptr;
  const auto& socket = config.policy_service.socket;
  auto server = std::make_unique<policy_service::Server>(
      std::move(listener), *socket, [&service] { return service.settings(); },
      [&answers](const policy_service::Request& request) { return answers.answer(request); },
      counters);
  logging::info("policy service ready on " + socket->print());
  return server;
}

int run_until_told(Service& service, Sockets& sockets, const process::Start& start,
                   reputation::Reader* reputations) {
  const bool alone = start.control_fd < 0;
  alone ? take_signals() : set_signals(SIG_IGN, SIG_IGN);
  process::RunningConfig running(start.config, start.config_file, config::Secrets::Read);
  const int ended_fd = start_milter();
  if (!alone) (void)process::send_control(start.control_fd, {ControlMessage::Kind::Ready, {}});
  logging::info("filter ready on " + start.config.filter.socket.print());
  const bool told = alone
                        ? serve_alone(service, ended_fd, running, reputations)
                        : serve(service, start.control_fd, ended_fd, running, sockets, reputations);
  if (!told) {
    logging::error("libmilter ended by itself (syslog has its reason)");
    return EX_UNAVAILABLE;
  }
  drain(service, sockets);
  return EX_OK;
}

// Null: messages are not remembered. Without a supervisor nobody reads the other end of the pair.
MemorySink* open_memory_sink(const process::Start& start, const MemoryLine& memory) {
  if (memory.socket < 0 || start.control_fd < 0) return nullptr;
  return new MemorySink(memory.socket, memory.counters);
}

}  // namespace

int run(const process::Start& start, Counters& counters, const MemoryLine& memory) {
  const auto& config = start.config;
  raise_descriptor_limit();
  // Never freed: libmilter's threads use it until the process ends.
  auto& log = *new MessageLog;
  std::vector<RecordSink*> sinks{&log};
  auto* memory_sink = open_memory_sink(start, memory);
  if (memory_sink != nullptr) sinks.push_back(memory_sink);
  auto* reputations = read_reputations(config, memory).release();
  auto& service =
      *new Service(std::make_shared<config::Config>(config), counters, sinks, reputations);
  register_milter(service, config.filter.timeout);
  Listener socket(config.filter);
  PatientEvidence evidence(service);
  PolicyAnswers answers(service, service.sessions(), evidence, background_of(service),
                        counters.policy_service);
  net::Fd listener;
  if (config.policy_service.socket) listener = bind_policy_socket(config);
  process::confine(start.part, config);  // before the service has a thread
  const auto policy =
      serve_policy(std::move(listener), config, service, answers, counters.policy_service);
  Sockets sockets(socket, policy.get());
  if (memory_sink != nullptr) memory_sink->start();
  const int code = run_until_told(service, sockets, start, reputations);
  if (memory_sink != nullptr) memory_sink->stop();
  return code;
}

}  // namespace filter
