#include "milter/desk/desk.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <csignal>
#include <memory>

#include "milter/desk/metrics.h"
#include "milter/desk/server.h"
#include "milter/log/log.h"
#include "milter/net/event.h"
#include "milter/net/server_socket.h"
#include "milter/process/orders.h"
#include "milter/process/seccomp.h"

namespace desk {
namespace {

// As many clients may wait as Server::kMostConnections may be open. Chosen, not measured.
constexpr int kBacklog = 64;

class Process final : private process::Orders::Listener {
 public:
  Process(const process::Start& start, const std::vector<net::Fd>& listeners,
          const process::Families& families)
      : start_(start),
        listeners_(listeners),
        base_(net::make_loop()),
        server_(base_.get(), numbers(listeners)),
        orders_(base_.get(), start, *this) {
    server_.serve("/metrics", kMetricsType, [&families] { return metrics(families); });
  }

  int run() {
    limit_connections(Server::kMostConnections);
    process::confine(start_.part, start_.config);
    orders_.ready();
    for (const auto& listener : listeners_) {
      const auto address = net::bound_to(listener.get());
      if (address) logging::info(fmt::format("metrics on http://{}/metrics", address->print()));
    }
    event_base_dispatch(base_.get());
    return EX_OK;
  }

 private:
  static std::vector<int> numbers(const std::vector<net::Fd>& listeners) {
    std::vector<int> fds;
    for (const auto& listener : listeners) fds.push_back(listener.get());
    return fds;
  }

  void drain() override { event_base_loopbreak(base_.get()); }

  // A new start must find the port free.
  void abandoned() override {
    for (const auto& listener : listeners_) (void)shutdown(listener.get(), SHUT_RDWR);
  }

  const process::Start start_;
  const std::vector<net::Fd>& listeners_;
  net::EventBase base_;
  Server server_;
  process::Orders orders_;
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

int run(const process::Start& start, const std::vector<net::Fd>& listeners,
        const process::Families& families) {
  std::signal(SIGPIPE, SIG_IGN);
  return Process(start, listeners, families).run();
}

}  // namespace desk
