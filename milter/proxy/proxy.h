// The process in the path of the mail. It moves bytes both ways, unchanged, and observes them. It
// never decides. There are N worker threads, each with its own libevent loop, listeners and
// capture. The main thread serves the evidence socket and the control line.
#pragma once

#include <string>
#include <vector>

#include "milter/capture/kernel_filter.h"
#include "milter/config/config.h"
#include "milter/net/fd.h"
#include "milter/process/start.h"
#include "milter/proxy/counters.h"

namespace proxy {

// What one worker is given. The sockets already listen; the kernel filter, if there is one, is
// attached to them. Both stay open in the supervisor, so that a restarted proxy finds the same
// backlog.
struct WorkerInput {
  std::vector<int> listeners;                      // borrowed
  capture::KernelFilter* kernel_filter = nullptr;  // borrowed; null: fallback capture
  // The sources of transparent sockets (net/transparent_sockets.h), one of each address family;
  // borrowed. Empty if upstream_protocol is not "transparent".
  std::vector<int> sources;
};

// How many connections may wait for an accept. Chosen, not measured: large enough for the clients
// that arrive while a proxy that died is started again. The kernel caps it at net.core.somaxconn,
// which is 4096 on Debian 12.
inline constexpr int kBacklog = 4096;

// How many workers `config` asks for on this machine.
unsigned worker_count(const config::Proxy& config);

// Binds and listens on every address of config.listen, once for each worker (SO_REUSEPORT), with
// TCP_SAVE_SYN. Throws std::system_error "bind 192.0.2.1:25: …".
std::vector<std::vector<net::Fd>> open_listeners(const config::Proxy& config);

// Runs until the supervisor asks it to drain (process/orders.h). Returns a sysexits code. Throws if
// set-up fails.
int run(const process::Start& start, const std::vector<WorkerInput>& workers, Counters& counters);

}  // namespace proxy
