// What way `transparent` takes of rights, at the start: for each worker of the proxy a source of
// transparent sockets (net/transparent_sockets.h) of each address family.
#pragma once

#include <vector>

#include "milter/config/config.h"
#include "milter/net/address.h"
#include "milter/net/fd.h"
#include "milter/supervisor/handover.h"

namespace supervisor {

using Sources = std::vector<std::vector<net::Fd>>;  // one row a worker

// `listening`: where the proxy listens, which says what families its clients have. Empty, but for
// upstream_protocol "transparent". Throws SetupError where there is no right to it (EX_NOPERM), and
// where Postfix's answers would not come back here (EX_UNAVAILABLE): clients are not to reach a
// proxy that can only refuse them.
Sources open_sources(const config::Proxy& config, const std::vector<net::Endpoint>& listening,
                     std::size_t workers);

// Those that the program before has left. Throws SetupError where they do not fit.
Sources adopt_sources(const config::Proxy& config, const Handover& handover);

}  // namespace supervisor
