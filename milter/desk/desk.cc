#include "milter/desk/desk.h"

#include <fmt/format.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <memory>
#include <utility>

#include "milter/desk/lookups.h"
#include "milter/desk/server.h"
#include "milter/desk/site.h"
#include "milter/log/log.h"
#include "milter/net/event.h"
#include "milter/net/server_socket.h"
#include "milter/net/unix_socket.h"
#include "milter/process/orders.h"
#include "milter/process/seccomp.h"

namespace desk {
namespace {

// As many clients may wait as Server::kMostConnections may be open. Chosen, not measured.
constexpr int kBacklog = 64;

history::Time utc() {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}

net::Fd make_bell() {
  return net::Fd(net::check(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), "make an eventfd"));
}

class Process final : private process::Orders::Listener {
 public:
  Process(const process::Start& start, const std::vector<net::Fd>& listeners,
          const process::Families& families)
      : start_(start),
        listeners_(listeners),
        base_(net::make_loop()),
        lookups_(start.config.memory, [this] { ring(); }),
        site_(std::make_shared<const config::Config>(start.config), families, lookups_, utc),
        server_(base_.get(), numbers(listeners), Guard(start.config.desk),
                [this](const Request& request) { return site_.answer(request); }),
        orders_(base_.get(), start, *this) {
    rung_ = net::make_event(
        base_.get(), bell_.get(), EV_READ | EV_PERSIST,
        [](evutil_socket_t, short, void* self) { static_cast<Process*>(self)->on_bell(); }, this);
    constexpr timeval kTick{1, 0};
    tick_ = net::make_event(
        base_.get(), -1, EV_PERSIST,
        [](evutil_socket_t, short, void* self) { static_cast<Process*>(self)->on_tick(); }, this,
        &kTick);
    bind_socket();
  }

  int run() {
    // The lookups open a few files and folders at a time.
    constexpr unsigned kFiles = 8 * Lookups::kThreads;
    limit_connections(Server::kMostConnections + kFiles);
    process::confine(start_.part, start_.config);
    lookups_.start();
    orders_.ready();
    for (const auto& listener : listeners_) {
      const auto address = net::bound_to(listener.get());
      if (address) logging::info(fmt::format("pages and metrics on http://{}/", address->print()));
    }
    site_.prepare();
    event_base_dispatch(base_.get());
    return EX_OK;
  }

 private:
  static std::vector<int> numbers(const std::vector<net::Fd>& listeners) {
    std::vector<int> fds;
    for (const auto& listener : listeners) fds.push_back(listener.get());
    return fds;
  }

  // Without the socket the desk serves its addresses, and asks the supervisor later to bind it.
  void bind_socket() {
    if (start_.config.desk.socket.empty()) return;
    try {
      serve_at(open_socket(start_.config.desk));
    } catch (const std::system_error& error) {
      logging::error(error.what());
    }
  }

  // Called by the lookups' threads.
  void ring() const {
    constexpr std::uint64_t kOne = 1;
    (void)!write(bell_.get(), &kOne, sizeof kOne);
  }

  void on_bell() {
    std::uint64_t rings = 0;
    (void)!read(bell_.get(), &rings, sizeof rings);
    server_.ask_again();
  }

  void on_tick() {
    lookups_.refresh();
    const bool wants_socket = !start_.config.desk.socket.empty();
    if (wants_socket && (!has_socket_ || !path_.intact())) {
      orders_.report_lost_socket(std::chrono::steady_clock::now());
    }
  }

  void drain() override { event_base_loopbreak(base_.get()); }

  void reloaded(std::shared_ptr<const config::Config> config) override {
    server_.set_guard(Guard(config->desk));
    site_.set_config(std::move(config));
  }

  void serve_at(net::Fd listener) override {
    server_.listen(listener.get());
    path_ = net::BoundPath(start_.config.desk.socket);
    has_socket_ = true;
  }

  // A new start must find the port free.
  void abandoned() override {
    for (const auto& listener : listeners_) (void)shutdown(listener.get(), SHUT_RDWR);
  }

  const process::Start start_;
  const std::vector<net::Fd>& listeners_;
  net::EventBase base_;
  const net::Fd bell_ = make_bell();  // rung when a lookup has found something
  Lookups lookups_;
  Site site_;
  Server server_;
  net::BoundPath path_;
  bool has_socket_ = false;
  process::Orders orders_;
  net::Event rung_;
  net::Event tick_;
};

}  // namespace

std::vector<net::Fd> open_listeners(const config::Desk& config) {
  std::vector<net::Fd> listeners;
  for (const auto& address : config.listen) {
    const auto attempt = "desk.listen: bind " + address.print();
    try {
      auto listener = net::server_socket(address, attempt);
      net::bind(listener, address, attempt);
      net::check(listen(listener.get(), kBacklog), attempt);
      listeners.push_back(std::move(listener));
    } catch (const std::system_error& error) {
      if (!net::is_family_missing(error.code(), address)) throw;
      logging::warning(error.what() +
                       std::string(": this machine does not have that address family"));
    }
  }
  return listeners;
}

net::Fd open_socket(const config::Desk& config) {
  return net::listen_unix(config.socket, config.socket_mode, kBacklog,
                          "listen on desk.socket " + config.socket);
}

int run(const process::Start& start, const std::vector<net::Fd>& listeners,
        const process::Families& families) {
  std::signal(SIGPIPE, SIG_IGN);
  return Process(start, listeners, families).run();
}

}  // namespace desk
