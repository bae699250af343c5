// At USR2 another program takes the place of this one: the file at our own path, which an upgrade
// of the package has replaced. It takes over the listening sockets and the kernel filters, and no
// client is refused.
//
//     old supervisor ──"handover"──► old proxy, old filter: let go, drain to the deadline
//          │ exec: same pid, same children
//          ▼
//     new supervisor ──fork──► new proxy, new filter: serve at once
//
// Sessions that were open go on in the old processes. Their messages are not observed any more
// (`unobserved`).
#pragma once

#include <string>

#include "milter/config/config.h"

namespace supervisor {

// The path of our own program file, also when the file has been replaced.
std::string own_program();

// Why `program` cannot take over with the configuration in `file`; empty: it can. Runs `PROGRAM
// check`, and refuses when a setting has changed that needs a restart.
std::string why_no_upgrade(const std::string& program, const config::Config& running,
                           const std::string& file);

// Does not return if it succeeds. Otherwise returns what went wrong.
std::string become(const std::string& program, const std::string& file);

}  // namespace supervisor
