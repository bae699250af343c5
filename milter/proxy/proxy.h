// The process in the mail's path: moves bytes, unchanged, both ways, and observes. It never
// decides. N threads with a libevent loop, listeners and a capture each; the main thread serves the
// evidence socket and the control line.
#pragma once

#include <string>
#include <vector>

#include "milter/capture/kernel_filter.h"
#include "milter/config/config.h"
#include "milter/net/fd.h"
#include "milter/process/start.h"
#include "milter/proxy/counters.h"

namespace proxy {

// What one worker is given. The sockets listen already; the kernel filter, if any, is attached to
// them. Both stay open in the supervisor, so that a restarted proxy finds the same backlog.
struct WorkerInput {
  std::vector<int> listeners;                      // borrowed
  capture::KernelFilter* kernel_filter = nullptr;  // borrowed; null: fallback capture
  // The sources of transparent sockets (net/transparent_sockets.h), one of each address family;
  // borrowed. Empty if upstream_protocol is not "transparent".
  std::vector<int> sources;
};

// Connections that wait for an accept.
inline constexpr int kBacklog = 4096;

// How many workers `config` asks for, on this machine.
unsigned worker_count(const config::Proxy& config);

// Binds and listens on every address of config.listen, once a worker (SO_REUSEPORT), with
// TCP_SAVE_SYN. Throws std::system_error "bind 192.0.2.1:25: …".
std::vector<std::vector<net::Fd>> open_listeners(const config::Proxy& config);

// Runs until it is told to drain (process/orders.h). Returns a sysexits code; throws when set-up fails.
int run(const process::Start& start, const std::vector<WorkerInput>& workers, Counters& counters);

}  // namespace proxy
