#include "milter/supervisor/proxy_parts.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sysexits.h>

#include <utility>

#include "milter/log/log.h"
#include "milter/net/server_socket.h"
#include "milter/process/setup_error.h"
#include "milter/supervisor/next_step.h"

namespace supervisor {
namespace {

using Filters = std::vector<std::unique_ptr<capture::KernelFilter>>;

constexpr std::string_view kFilterRights = "CAP_BPF CAP_NET_ADMIN";

// The workers' listeners share their address (SO_REUSEPORT). By the same option they would share it
// with a second segmilter: each program would get some of the clients, and no error would show it.
// A socket without that option fails to bind if any other socket is there.
void refuse_taken(const net::Endpoint& address) {
  const auto attempt = "proxy.listen: bind " + address.print();
  net::bind(net::server_socket(address, attempt), address, attempt);
}

// The examples listen on 0.0.0.0 and on [::]. On a machine without IPv6 mail still comes by IPv4,
// so an address whose family is missing is left out as long as another address can be bound.
std::vector<net::Endpoint> bindable(const std::vector<net::Endpoint>& wanted) {
  std::vector<net::Endpoint> found;
  std::vector<std::string> missing;
  for (const auto& address : wanted) {
    try {
      refuse_taken(address);
      found.push_back(address);
    } catch (const std::system_error& error) {
      if (!net::is_family_missing(error.code(), address)) throw;
      missing.emplace_back(error.what());
      if (found.empty() && missing.size() == wanted.size()) throw;
    }
  }
  for (const auto& what : missing) {
    logging::warning(what +
                     ": this machine does not have that address family; the other addresses "
                     "of proxy.listen are served");
  }
  return found;
}

// The address of `wanted` that another process has; the first one if that cannot be determined.
const net::Endpoint& taken(const std::vector<net::Endpoint>& wanted) {
  for (const auto& address : wanted) {
    try {
      refuse_taken(address);
    } catch (const std::system_error& error) {
      if (error.code() == std::errc::address_in_use) return address;
    }
  }
  return wanted.front();
}

std::string next_step(const std::error_code& error, const config::Proxy& config) {
  if (error == std::errc::address_in_use) {
    return next_step_taken(taken(config.listen), "proxy.listen");
  }
  if (!is_forbidden(error)) return "";
  return next_step_rights(config.tproxy_ports.empty() ? "CAP_NET_BIND_SERVICE"
                                                      : "CAP_NET_BIND_SERVICE CAP_NET_ADMIN");
}

std::vector<std::vector<net::Fd>> open_listeners(config::Proxy config) {
  try {
    config.listen = bindable(config.listen);
    return proxy::open_listeners(config);
  } catch (const std::system_error& error) {
    throw process::SetupError(is_forbidden(error.code()) ? EX_NOPERM : EX_UNAVAILABLE,
                              error.what() + next_step(error.code(), config));
  }
}

// A filter for each worker, or none at all: workers that see different things would be hard to
// explain.
Filters load_filters(const std::vector<std::vector<net::Fd>>& workers, std::size_t ring_bytes) {
  Filters filters;
  for (const auto& listeners : workers) {
    filters.push_back(capture::KernelFilter::load(ring_bytes));
    for (const auto& listener : listeners) filters.back()->attach(listener.get());
  }
  return filters;
}

// If loading fails midway, some listeners already have a filter. It would go on filling a ring that
// no process reads.
void detach(const std::vector<std::vector<net::Fd>>& workers) {
  const int unused = 0;
  for (const auto& listeners : workers) {
    for (const auto& listener : listeners) {
      (void)setsockopt(listener.get(), SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
    }
  }
}

Filters try_filters(const std::vector<std::vector<net::Fd>>& workers,
                    const config::Capture& config) {
  using Method = config::Capture::Method;
  if (config.method != Method::Auto && config.method != Method::Kernel) return {};
  try {
    return load_filters(workers, config.ring_bytes);
  } catch (const std::exception& error) {
    if (config.method == Method::Kernel) {
      throw process::SetupError(EX_UNAVAILABLE,
                                fmt::format("capture.method \"kernel\": {}{}", error.what(),
                                            next_step_rights(kFilterRights)));
    }
    detach(workers);
    logging::warning(
        fmt::format("capture: no kernel filter, segments are inferred from reads (via=read): {}{}",
                    error.what(), next_step_rights(kFilterRights)));
    return {};
  }
}

std::vector<std::vector<net::Fd>> adopt_rows(const config::Proxy& config,
                                             const Handover& handover) {
  std::vector<std::vector<net::Fd>> workers;
  for (const auto& row : handover.listeners) {
    workers.push_back(adopt_listeners(row, config.listen, "proxy.listen"));
  }
  return workers;
}

Filters adopt_filters(const Handover& handover) {
  Filters filters;
  for (const int ring : handover.rings) {
    (void)fcntl(ring, F_SETFD, FD_CLOEXEC);
    filters.push_back(capture::KernelFilter::adopt(net::Fd(ring)));
  }
  return filters;
}

}  // namespace

ProxyParts::ProxyParts(const config::Config& config)
    : listeners_(open_listeners(config.proxy)),
      sources_(open_sources(config.proxy, addresses(), listeners_.size())),
      filters_(try_filters(listeners_, config.capture)) {}

ProxyParts::ProxyParts(const config::Config& config, const Handover& handover)
    : listeners_(adopt_rows(config.proxy, handover)),
      sources_(adopt_sources(config.proxy, handover)),
      filters_(adopt_filters(handover)) {}

Handover ProxyParts::hand_over() const {
  Handover handover;
  const auto borrow = [](const std::vector<std::vector<net::Fd>>& rows) {
    std::vector<std::vector<int>> numbers;
    for (const auto& row : rows) {
      auto& of_row = numbers.emplace_back();
      for (const auto& fd : row) of_row.push_back(fd.get());
    }
    return numbers;
  };
  handover.listeners = borrow(listeners_);
  handover.sources = borrow(sources_);
  for (const auto& filter : filters_) handover.rings.push_back(filter->ring_fd());
  return handover;
}

std::vector<net::Endpoint> ProxyParts::addresses() const {
  std::vector<net::Endpoint> addresses;
  for (const auto& listener : listeners_.front()) {
    if (const auto address = net::bound_to(listener.get())) addresses.push_back(*address);
  }
  return addresses;
}

std::vector<proxy::WorkerInput> ProxyParts::inputs() const {
  std::vector<proxy::WorkerInput> inputs(listeners_.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    for (const auto& listener : listeners_[i]) inputs[i].listeners.push_back(listener.get());
    if (!sources_.empty()) {
      for (const auto& source : sources_[i]) inputs[i].sources.push_back(source.get());
    }
    if (!filters_.empty()) inputs[i].kernel_filter = filters_[i].get();
  }
  return inputs;
}

void ProxyParts::pause_listening() {
  if (!std::exchange(paused_, true)) stop_listening();
}

// A listening socket that was shut down keeps its address, options and filter. It needs no rights
// to listen again.
void ProxyParts::resume_listening() {
  if (!std::exchange(paused_, false)) return;
  for (const auto& row : listeners_) {
    for (const auto& listener : row) {
      net::check(listen(listener.get(), proxy::kBacklog), "listen again for the proxy");
    }
  }
}

void ProxyParts::stop_listening() {
  // shutdown and not close: the proxy has the same sockets, and after a close here they would still
  // listen there.
  for (const auto& row : listeners_) {
    for (const auto& listener : row) (void)shutdown(listener.get(), SHUT_RDWR);
  }
}

}  // namespace supervisor
