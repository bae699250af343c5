// Another program in the place of this one, at USR2: the file at our own path, which an upgrade has
// replaced, takes over the listening sockets and the kernel filters, and nobody is refused.
//
//     old supervisor ──"handover"──► old proxy, old filter: let go, drain to the deadline
//          │ exec: same pid, same children
//          ▼
//     new supervisor ──fork──► new proxy, new filter: serve at once
//
// What was open goes on in the old processes; its messages are not seen any more (`unobserved`).
#pragma once

#include <string>

#include "milter/config/config.h"

namespace supervisor {

// The path of our own program, also when it has been replaced.
std::string own_program();

// Why `program` cannot take over with the configuration in `file`; empty: it can. The program is
// asked (`PROGRAM check`), and no setting may have changed that needs a restart.
std::string why_no_upgrade(const std::string& program, const config::Config& running,
                           const std::string& file);

// Does not return where it succeeds. Returns what went wrong.
std::string become(const std::string& program, const std::string& file);

}  // namespace supervisor
