// Which system calls a process may still make once it serves. A list of what is allowed, for each
// kind of process; what is not on it fails with EPERM, and what no process of ours could ever want
// ends the process (SIGSYS), because then it is no longer our program that runs.
//
//     supervisor ──fork──► child: sets up, under the supervisor's list ──confine()──► serves
//
// Lists are inherited and only ever get shorter: the supervisor's is the sum of what its children
// need, for setting up too, and what starts a program.
#pragma once

#include <string>
#include <vector>

#include "milter/config/config.h"

namespace process {

enum class Part { Supervisor, Proxy, Wire, Filter, Desk };

// From here on, for this thread and those that it starts. Without general.seccomp, and where the
// kernel does not take the list (it may be built without seccomp), a warning in the log, and on it
// goes: mail is worth more than the second lock. Does nothing in a build with the address or thread
// sanitizer, whose runtime has calls of its own. Requires: no new privileges, as drop() sets.
void confine(Part part, const config::Config& config);

// Names of the system calls that are allowed to `part`, some of them with certain arguments only.
// For tests: all of them have to be among those that the systemd unit allows.
std::vector<std::string> allowed_calls(Part part);

}  // namespace process
