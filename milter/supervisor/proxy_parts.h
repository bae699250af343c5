// What the proxy uses and only a privileged process may make: listening sockets on port 25 and
// kernel filters. They are made once, before the rights are dropped. The supervisor keeps them for
// every proxy that it will start.
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
  // Throws SetupError (EX_UNAVAILABLE or EX_NOPERM) if an address cannot be bound, or if
  // capture.method is "kernel" and the filter cannot be loaded. With "auto" the latter is only a
  // warning in the log. An address whose family this machine does not have is left out with a
  // warning, as long as another address can be bound. Throws also if upstream_protocol "transparent"
  // lacks its right or its routes (transparent_sources.h).
  explicit ProxyParts(const config::Config& config);
  // Takes over what the previous program made for the same proxy.listen. Throws as above if it does
  // not fit.
  ProxyParts(const config::Config& config, const Handover& handover);

  // The addresses of proxy.listen that have a listening socket: all but those whose address family
  // is missing.
  std::vector<net::Endpoint> addresses() const;

  // For the next program. Does not fill in `children`, which this object does not know.
  Handover hand_over() const;

  std::vector<proxy::WorkerInput> inputs() const;  // borrowed: valid as long as this object

  // Between two starts of the proxy, where Postfix's own port can answer instead (tproxy): clients
  // then reach Postfix and do not wait. Clients that already wait in the backlog are reset, and try
  // again.
  void pause_listening();
  void resume_listening();

  // Ends listening in every process that shares the sockets. From now on clients are refused (or
  // reach Postfix, under tproxy) instead of waiting for an accept that will not come.
  void stop_listening();

 private:
  bool paused_ = false;
  std::vector<std::vector<net::Fd>> listeners_;                  // one row for each worker
  Sources sources_;                                              // empty: none are needed
  std::vector<std::unique_ptr<capture::KernelFilter>> filters_;  // empty: fallback capture
};

}  // namespace supervisor
