// Opens what upstream_protocol "transparent" needs rights for, at the start: for each worker of the
// proxy a source of transparent sockets (net/transparent_sockets.h) of each address family.
#pragma once

#include <vector>

#include "milter/config/config.h"
#include "milter/net/address.h"
#include "milter/net/fd.h"
#include "milter/supervisor/handover.h"

namespace supervisor {

using Sources = std::vector<std::vector<net::Fd>>;  // one row a worker

// `listening`: the addresses on which the proxy listens; clients come by these address families. The
// result is empty if upstream_protocol is not "transparent". Throws SetupError if the right is
// missing (EX_NOPERM), or if Postfix's answers would not come back to this machine
// (EX_UNAVAILABLE), because clients must not reach a proxy that can only refuse them.
Sources open_sources(const config::Proxy& config, const std::vector<net::Endpoint>& listening,
                     std::size_t workers);

// Takes over the sources of the previous program. Throws SetupError if they do not fit.
Sources adopt_sources(const config::Proxy& config, const Handover& handover);

}  // namespace supervisor
