// The processes that segmilter consists of, one row each.
//
// To add a process, write its row in children.cc, give its counters a field in counts.h and, where
// it makes system calls that the others do not, its list a case in process/seccomp.cc. The
// supervisor and the page of metrics walk the rows.
#pragma once

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

// What is opened while there are rights to do so. The supervisor keeps all of it for the children
// that it will ever start; a child closes what belongs to the others, so that a port is really
// closed once the process that serves it is gone.
struct Opened {
  std::unique_ptr<ProxyParts> proxy;      // null: no proxy
  std::unique_ptr<capture::WireTap> tap;  // null: no wire observer
  std::vector<net::Fd> desk;              // listening; empty: no desk
};

// A unix socket that a child serves. When somebody has removed its path, the supervisor binds it
// anew, because a child may not (process/seccomp.h).
struct ChildSocket {
  const char* setting;
  // Before a start: is there a folder for it, and does no other segmilter serve it?
  void (*check)(const config::Config& config);
  std::string (*path)(const config::Config& config);
  net::Fd (*bind)(const config::Config& config);
};

struct ChildKind {
  const char* name;  // in the log, on the page of metrics, and as a command
  process::Part part;
  bool (*wanted)(const config::Config& config);
  const char* not_wanted;  // why there is nothing for it to do, where it is started alone
  // Opens what it needs, or takes over what another program has opened. False: it cannot be had and
  // mail goes on without it. Throws process::SetupError, std::system_error.
  bool (*open)(const config::Config& config, const Handover* handover, Opened& opened);
  void (*keep)(Opened& opened, Opened& own);  // moves what it needs from `opened` to `own`
  bool has_keys;                              // it reads the keys of seals; the others forget them
  const ChildSocket* socket;                  // null: it serves none
  bool takes_clients;                         // clients wait in its listeners' backlog
  bool needed;  // when it ends before all were ready once, the whole program ends
  std::chrono::seconds (*drain_time)(const config::Config& config);
  process::Families (*describe)(const Counts& counts);  // null: it counts nothing
  int (*run)(const process::Start& start, const Opened& own, Counts& counts);
};

// All of them, in the order in which they are started and drained.
std::span<const ChildKind> child_kinds();

// Requires: there is a row of that name.
const ChildKind& child_kind(std::string_view name);

// What the supervisor counts of a child.
ChildCounters& counters_of(const ChildKind& kind, Counts& counts);

// All counters of the processes that `config` wants. `counts` outlives the result.
process::Families describe(const Counts& counts, const config::Config& config);

}  // namespace supervisor
