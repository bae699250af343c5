// The desk: the process that serves pages for people (site.h), and the counters of all processes at
// GET /metrics. It reads the store and writes nothing. It is not in the path of the mail and sees
// no message; no other process waits for it.
//
//     server.h ──► site.h ──► lookups.h ──► history
//     one thread, the loop      threads of its own
#pragma once

#include <vector>

#include "milter/config/config.h"
#include "milter/net/fd.h"
#include "milter/process/metrics.h"
#include "milter/process/start.h"

namespace desk {

// Binds and listens on every address of config.listen. An address whose family this machine does
// not have is left out with a warning. Throws std::system_error "desk.listen: bind 127.0.0.1:9125:
// …".
std::vector<net::Fd> open_listeners(const config::Desk& config);

// Requires: config.socket is not empty. Throws std::system_error "listen on desk.socket …".
net::Fd open_socket(const config::Desk& config);

// Runs until the supervisor asks it to drain (process/orders.h). There is nothing to finish, so it
// ends at once. `listeners` and `families` are borrowed. Returns a sysexits code; throws if set-up
// fails.
int run(const process::Start& start, const std::vector<net::Fd>& listeners,
        const process::Families& families);

}  // namespace desk
