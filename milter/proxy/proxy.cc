#include "milter/proxy/proxy.h"

#include <fmt/format.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <memory>
#include <thread>
#include <utility>

#include "milter/evidence/server.h"
#include "milter/log/log.h"
#include "milter/net/server_socket.h"
#include "milter/process/orders.h"
#include "milter/process/seccomp.h"
#include "milter/proxy/worker.h"

namespace proxy {
namespace {

// How often deadlines, the table's expiry and the counters are looked at. Chosen, not measured: a
// drain ends up to 200 ms after its last session. A shorter tick costs wake-ups on an idle machine.
constexpr timeval kTick{0, 200'000};
// A worker ticks once a second. Without a tick for this long it is stuck, and the process does not
// answer the supervisor's pings any more, so that the supervisor kills it. Chosen, not measured.
constexpr std::chrono::seconds kStuck{8};

// `transparent`: also takes connections to other addresses and ports, which the firewall redirects.
net::Fd open_listener(const net::Endpoint& address, bool transparent) {
  const std::string attempt = "proxy.listen: bind " + address.print();
  auto fd = net::server_socket(address, attempt);
  const int on = 1;
  const auto set = [&](int level, int option) {
    net::check(setsockopt(fd.get(), level, option, &on, sizeof on), attempt);
  };
  set(SOL_SOCKET, SO_REUSEPORT);
  set(IPPROTO_TCP, TCP_SAVE_SYN);
  set(IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it: Postfix's replies are not delayed
  if (transparent && address.is_v4()) set(SOL_IP, IP_TRANSPARENT);
  if (transparent && !address.is_v4()) set(SOL_IPV6, IPV6_TRANSPARENT);
  net::bind(fd, address, attempt);
  net::check(listen(fd.get(), kBacklog), attempt);
  return fd;
}

// The process's main thread: the evidence socket, the control line and the clock of a drain.
class Process final : private process::Orders::Listener {
 public:
  Process(const process::Start& start, const std::vector<WorkerInput>& inputs, Counters& counters)
      : part_(start.part),
        table_(start.config.evidence.max_sessions, start.config.evidence.linger,
               start.config.evidence.max_bytes),
        shared_{.config = std::make_shared<const config::Config>(start.config),
                .table = table_,
                .counters = counters},
        base_(net::make_loop()),
        server_(base_.get(), start.config.evidence, table_),
        orders_(base_.get(), start, *this) {
    for (const auto& input : inputs) {
      workers_.push_back(std::make_unique<Worker>(shared_, input));
      listeners_.insert(listeners_.end(), input.listeners.begin(), input.listeners.end());
    }
  }

  int run() {
    process::confine(part_, *shared_.config.load());
    start_workers();
    start_tick();
    orders_.ready();
    event_base_dispatch(base_.get());
    for (const auto& worker : workers_) worker->stop();
    return EX_OK;
  }

 private:
  // Signals are handled by the main thread, so workers are started with all signals blocked.
  void start_workers() {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    for (const auto& worker : workers_) worker->start();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }

  void start_tick() {
    tick_ = net::make_event(
        base_.get(), -1, EV_PERSIST,
        [](evutil_socket_t, short, void* self) { static_cast<Process*>(self)->on_tick(); }, this,
        &kTick);
  }

  void reloaded(std::shared_ptr<const config::Config> config) override {
    shared_.config.store(std::move(config));
  }

  // The supervisor is gone, and with it its copies of the listeners. The copies of this process
  // would keep the backlog open for clients that no process will accept. Shut down, they refuse
  // clients, and a new start finds the port and the path free.
  void abandoned() override {
    server_.close();
    for (const int listener : listeners_) ::shutdown(listener, SHUT_RDWR);
  }

  // The next program's workers will read the rings and accept from the same sockets.
  void hand_over() override {
    server_.close();  // before the next proxy checks whether its path is free
    for (const auto& worker : workers_) worker->hand_over();
  }

  void serve_at(net::Fd listener) override { server_.serve_at(std::move(listener)); }

  // No more clients are accepted; open sessions may finish until the deadline. The second request
  // ends the process now.
  void drain() override {
    if (draining_) {
      event_base_loopbreak(base_.get());
      return;
    }
    draining_ = true;
    const auto config = shared_.config.load();
    deadline_ = steady_clock::now() + config->proxy.drain_timeout;
    last_deadline_ = steady_clock::now() + config->proxy.longest_drain();
    for (const auto& worker : workers_) worker->drain();
  }

  // A stuck worker blocks its own sessions and the new ones that the kernel gives it.
  bool alive() override {
    const auto now = steady_clock::now();
    return std::all_of(workers_.begin(), workers_.end(),
                       [&](const auto& worker) { return now - worker->last_tick() < kStuck; });
  }

  void on_tick() {
    const auto now = steady_clock::now();
    const std::size_t sessions = shared_.admission.sessions();
    table_.expire(now);
    table_.tell(shared_.counters.evidence);
    shared_.counters.sessions.store(sessions, std::memory_order_relaxed);
    tell_of_overload(now);
    if (server_.lost()) orders_.report_lost_socket(now);
    if (draining_) drain_further(now, sessions);
  }

  // A client that is cut before it gets the answer to its message sends the message again, and it
  // is delivered twice. So those sessions have a later deadline.
  void drain_further(steady_clock::time_point now, std::size_t sessions) {
    if (sessions != 0 && now < last_deadline_) {
      if (now >= deadline_ && !std::exchange(closing_, true)) {
        logging::warning(
            fmt::format("proxy.drain_timeout: {} sessions are still open; those for which Postfix "
                        "owes no answer to a message are closed",
                        sessions));
        for (const auto& worker : workers_) worker->close_sessions();
      }
      return;
    }
    if (sessions != 0) {
      logging::warning(fmt::format("{}: {} sessions are cut off",
                                   closing_ ? "proxy.drain_answer_timeout" : "proxy.drain_timeout",
                                   sessions));
    }
    event_base_loopbreak(base_.get());
  }

  void tell_of_overload(steady_clock::time_point now) {
    const auto& counters = shared_.counters;
    const auto more = overload_word_.more(counters.overload(), now);
    if (more == 0) return;
    try {
      logging::warning(
          fmt::format("overload: {} sessions are not observed (so far: {} for lack of descriptors, "
                      "{} because a loop was late, {} because of evidence.max_bytes)",
                      more, counters.overload_descriptors.load(), counters.overload_time.load(),
                      counters.overload_memory.load()));
    } catch (const std::bad_alloc&) {
      // There is not even memory for the log line.
    }
  }

  const process::Part part_;
  evidence::Table table_;
  Shared shared_;
  net::EventBase base_;
  evidence::Server server_;
  std::vector<std::unique_ptr<Worker>> workers_;
  process::Orders orders_;
  net::Event tick_;
  std::vector<int> listeners_;  // borrowed; of all workers
  logging::RateLimit overload_word_;
  bool draining_ = false;
  steady_clock::time_point deadline_;
  bool closing_ = false;  // the deadline has come
  steady_clock::time_point last_deadline_;
};

}  // namespace

unsigned worker_count(const config::Proxy& config) {
  if (config.workers != 0) return config.workers;
  return std::clamp(std::thread::hardware_concurrency(), 1U, 8U);
}

std::vector<std::vector<net::Fd>> open_listeners(const config::Proxy& config) {
  std::vector<std::vector<net::Fd>> workers(worker_count(config));
  for (auto& listeners : workers) {
    for (const auto& address : config.listen) {
      listeners.push_back(open_listener(address, !config.tproxy_ports.empty()));
    }
  }
  return workers;
}

int run(const process::Start& start, const std::vector<WorkerInput>& workers, Counters& counters) {
  std::signal(SIGPIPE, SIG_IGN);
  return Process(start, workers, counters).run();
}

}  // namespace proxy
