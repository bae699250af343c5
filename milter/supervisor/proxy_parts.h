// What the proxy uses and only a privileged process may make: listening sockets on port 25, kernel
// filters. Made once, before rights are dropped, and kept by the supervisor for every proxy that it
// will ever start.
#pragma once

#include <memory>
#include <vector>

#include "milter/capture/kernel_filter.h"
#include "milter/config/config.h"
#include "milter/net/fd.h"
#include "milter/proxy/proxy.h"
#include "milter/supervisor/handover.h"
#include "milter/supervisor/transparent_sources.h"

namespace supervisor {

class ProxyParts {
 public:
  // Throws SetupError (EX_UNAVAILABLE) where an address cannot be bound (one whose family this
  // machine does not have is left out, with a warning, while another one can), or capture.method is
  // "kernel" and the filter cannot be had; with "auto" that is a warning in the log. Throws where
  // upstream_protocol "transparent" has no rights or no way (transparent_sources.h).
  explicit ProxyParts(const config::Config& config);
  // What another program made, for the same proxy.listen. Throws as above where it does not fit.
  ProxyParts(const config::Config& config, const Handover& handover);

  // Those of proxy.listen that are listened on: all, but for an address family that is missing.
  std::vector<net::Endpoint> addresses() const;

  // For the next program; `children` are not known here.
  Handover hand_over() const;

  std::vector<proxy::WorkerInput> inputs() const;  // borrowed: as long as this object

  // Between two starts of the proxy, where Postfix answers for it: clients are to reach Postfix and
  // not to wait. Those that wait already are reset, and come again.
  void pause_listening();
  void resume_listening();

  // Ends listening, in every process that shares the sockets: from now on clients are refused (or,
  // under tproxy, fall through to Postfix) instead of waiting for an accept that will not come.
  void stop_listening();

 private:
  bool paused_ = false;
  std::vector<std::vector<net::Fd>> listeners_;                  // one row a worker
  Sources sources_;                                              // empty: none are needed
  std::vector<std::unique_ptr<capture::KernelFilter>> filters_;  // empty: fallback capture
};

}  // namespace supervisor
