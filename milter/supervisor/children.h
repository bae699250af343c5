// The processes that segmilter consists of, one row each.
//
// To add a process: write its row in children.cc; give its counters a field in counts.h; if it
// makes system calls that the others do not make, add a case with its list to process/seccomp.cc.
// The supervisor and the metrics page walk the rows.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "milter/capture/wire_tap.h"
#include "milter/config/config.h"
#include "milter/net/fd.h"
#include "milter/process/start.h"
#include "milter/supervisor/counts.h"
#include "milter/supervisor/handover.h"
#include "milter/supervisor/proxy_parts.h"

namespace supervisor {

// What is opened before the rights are dropped. The supervisor keeps all of it for every child that
// it will start. A child closes what belongs to the other children, so that a port is really closed
// once the process that serves it is gone.
struct Opened {
  std::unique_ptr<ProxyParts> proxy;      // null: no proxy
  std::unique_ptr<capture::WireTap> tap;  // null: no wire observer
  // The socket pair from the filter to memory, by their ends; null: nothing is remembered. What
  // waits in it outlives both processes.
  net::Fd sightings_out;
  net::Fd sightings_in;
  // The table of reputations, which memory writes and the filter reads; null: there is none. It
  // outlives both processes.
  net::Fd reputations;
  std::vector<net::Fd> desk;  // listening; empty: no desk
};

// A unix socket that a child serves. When its path was removed, the supervisor binds it again,
// because a child may not bind (process/seccomp.h).
struct ChildSocket {
  const char* setting;
  bool (*wanted)(const config::Config& config);
  // Before a start: does its folder exist, and does no other segmilter serve the socket? Throws
  // process::SetupError.
  void (*check)(const config::Config& config);
  std::string (*path)(const config::Config& config);
  net::Fd (*bind)(const config::Config& config);
};

struct ChildKind {
  const char* name;  // in the log, on the metrics page, and as a command
  process::Part part;
  bool (*wanted)(const config::Config& config);
  const char* not_wanted;  // if it is started alone: why it would have nothing to do
  // Opens what the process needs, or takes over what the previous program has opened (`handover`,
  // which may be null). False: it cannot be opened, and the mail flows without it. Throws
  // process::SetupError, std::system_error.
  bool (*open)(const config::Config& config, const Handover* handover, Opened& opened);
  void (*keep)(Opened& opened, Opened& own);  // moves what the process needs from `opened` to `own`
  bool has_keys;  // it reads the keys of seals; the other processes forget them
  std::array<const ChildSocket*, 2> sockets;  // null: it serves none, or one
  bool takes_clients;                         // clients wait in the backlog of its listeners
  bool needed;  // if it ends before all children were ready once, the whole program ends
  std::chrono::seconds (*drain_time)(const config::Config& config);
  process::Families (*describe)(const Counts& counts);  // null: it has no counters
  int (*run)(const process::Start& start, const Opened& own, Counts& counts);
};

// All rows, in the order in which the processes are started and drained.
std::span<const ChildKind> child_kinds();

// Requires: there is a row with that name.
const ChildKind& child_kind(std::string_view name);

// Checks the places of the sockets that a process would serve, before a start. Throws
// process::SetupError.
void check_sockets(const ChildKind& kind, const config::Config& config);

// The socket with this setting; empty: the only one. Null: the process serves no such socket.
const ChildSocket* socket_of(const ChildKind& kind, const config::Config& config,
                             std::string_view setting);

// What the supervisor counts for a child.
ChildCounters& counters_of(const ChildKind& kind, Counts& counts);

// All counters of the processes that `config` wants. Requires: `counts` outlives the result.
process::Families describe(const Counts& counts, const config::Config& config);

}  // namespace supervisor
