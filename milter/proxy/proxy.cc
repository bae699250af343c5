#include "milter/proxy/proxy.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <thread>

#include "milter/config/load.h"
#include "milter/evidence/server.h"
#include "milter/log/log.h"
#include "milter/proxy/worker.h"
#include "milter/supervisor/control.h"

namespace proxy {
namespace {

constexpr int kBacklog = 4096;
constexpr timeval kTick{0, 200'000};

net::Fd open_listener(const net::Endpoint& address) {
  const std::string attempt = "proxy.listen: bind " + address.print();
  sockaddr_storage storage;
  const socklen_t length = address.fill(storage);
  net::Fd fd(net::check(socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                        attempt));
  const int on = 1;
  const auto set = [&](int level, int option) {
    net::check(setsockopt(fd.get(), level, option, &on, sizeof on), attempt);
  };
  set(SOL_SOCKET, SO_REUSEADDR);
  set(SOL_SOCKET, SO_REUSEPORT);
  set(IPPROTO_TCP, TCP_SAVE_SYN);
  set(IPPROTO_TCP, TCP_NODELAY);  // inherited: Postfix's replies are not held back
  // "[::]:25" is IPv6 only, so that "0.0.0.0:25" can stand beside it.
  if (storage.ss_family == AF_INET6) set(IPPROTO_IPV6, IPV6_V6ONLY);
  net::check(bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), length), attempt);
  net::check(listen(fd.get(), kBacklog), attempt);
  return fd;
}

// The process's main thread: the evidence socket, the control line, the drain's clock.
class Process {
 public:
  Process(const config::Config& config, std::string config_file,
          const std::vector<WorkerInput>& inputs, int control_fd)
      : config_file_(std::move(config_file)),
        control_fd_(control_fd),
        table_(config.evidence.max_sessions, config.evidence.linger),
        shared_{.config = std::make_shared<const config::Config>(config), .table = table_},
        base_(event_base_new()),
        server_(base_.get(), config.evidence, table_) {
    for (const auto& input : inputs) {
      workers_.push_back(std::make_unique<Worker>(shared_, input));
      listeners_.insert(listeners_.end(), input.listeners.begin(), input.listeners.end());
    }
  }

  int run() {
    start_workers();
    listen_for_orders();
    if (control_fd_ >= 0) {
      supervisor::send_control(control_fd_, {.kind = supervisor::ControlMessage::Kind::Ready});
    }
    event_base_dispatch(base_.get());
    for (const auto& worker : workers_) worker->stop();
    return EX_OK;
  }

 private:
  // Signals belong to the main thread; workers are started with all of them blocked.
  void start_workers() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (const auto& worker : workers_) worker->start();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void listen_for_orders() {
    const auto add = [this](int what_fd, short what, event_callback_fn callback,
                            const timeval* time) {
      events_.emplace_back(event_new(base_.get(), what_fd, what, callback, this));
      event_add(events_.back().get(), time);
    };
    add(SIGTERM, EV_SIGNAL | EV_PERSIST, call<&Process::drain>, nullptr);
    add(SIGINT, EV_SIGNAL | EV_PERSIST, call<&Process::drain>, nullptr);
    add(-1, EV_PERSIST, call<&Process::on_tick>, &kTick);
    if (control_fd_ >= 0) {
      add(control_fd_, EV_READ | EV_PERSIST, call<&Process::on_control>, nullptr);
    } else {
      add(SIGHUP, EV_SIGNAL | EV_PERSIST, call<&Process::reload_file>, nullptr);
    }
  }

  template <void (Process::*method)()>
  static void call(evutil_socket_t, short, void* self) {
    (static_cast<Process*>(self)->*method)();
  }

  void on_control() {
    using Kind = supervisor::ControlMessage::Kind;
    const auto message = supervisor::receive_control(control_fd_);
    if (!message) return;
    switch (message->kind) {
      case Kind::Reload:
        reload(message->text);
        break;
      case Kind::Gone:
        event_del(events_.back().get());  // its end of file would come again and again
        // The supervisor's copies of the listeners are gone, ours would keep the backlog open for
        // clients whom nobody will take: let them be refused, and a new start find the port free.
        for (const int listener : listeners_) ::shutdown(listener, SHUT_RDWR);
        drain();
        break;
      case Kind::Drain:
        drain();
        break;
      case Kind::Ready:
        break;
    }
  }

  void reload_file() {
    try {
      reload(config::read_file(config_file_));
    } catch (const config::ConfigError& error) {
      logging::error(std::string("reload refused, the old configuration stays: ") + error.what());
    }
  }

  void reload(const std::string& text) {
    try {
      auto loaded = std::make_shared<const config::Config>(config::parse(text, config_file_));
      for (const auto& key : config::needs_restart(*shared_.config.load(), *loaded)) {
        logging::warning(key + " has changed: it takes effect at the next start");
      }
      shared_.config.store(std::move(loaded));
    } catch (const config::ConfigError& error) {
      logging::error(std::string("reload refused, the old configuration stays: ") + error.what());
    }
  }

  // No more clients; those that are here may finish until the deadline. Asked twice: now.
  void drain() {
    if (draining_) {
      event_base_loopbreak(base_.get());
      return;
    }
    draining_ = true;
    deadline_ = steady_clock::now() + shared_.config.load()->proxy.drain_timeout;
    for (const auto& worker : workers_) worker->drain();
  }

  void on_tick() {
    const auto now = steady_clock::now();
    table_.expire(now);
    if (!draining_) return;
    const std::size_t sessions = shared_.admission.sessions();
    if (sessions != 0 && now < deadline_) return;
    if (sessions != 0) logging::warning(std::to_string(sessions) + " sessions cut: drain_timeout");
    event_base_loopbreak(base_.get());
  }

  const std::string config_file_;
  const int control_fd_;
  evidence::Table table_;
  Shared shared_;
  net::EventBase base_;
  evidence::Server server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<net::Event> events_;
  std::vector<int> listeners_;  // borrowed, of all workers
  bool draining_ = false;
  steady_clock::time_point deadline_;
};

}  // namespace

unsigned worker_count(const config::Proxy& config) {
  if (config.workers != 0) return config.workers;
  return std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
}

std::vector<std::vector<net::Fd>> open_listeners(const config::Proxy& config) {
  std::vector<std::vector<net::Fd>> workers(worker_count(config));
  for (auto& listeners : workers) {
    for (const auto& address : config.listen) listeners.push_back(open_listener(address));
  }
  return workers;
}

int run(const config::Config& config, const std::string& config_file,
        const std::vector<WorkerInput>& workers, int control_fd) {
  std::signal(SIGPIPE, SIG_IGN);
  return Process(config, config_file, workers, control_fd).run();
}

}  // namespace proxy
