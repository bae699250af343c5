// The system calls that a process may still make once it serves. Each kind of process has a list of
// the calls it needs. Any other call fails with EPERM. Calls that none of our processes ever makes
// end the process (SIGSYS), because only injected code would make them.
//
//     supervisor ──fork──► child: sets up, under the supervisor's list ──confine()──► serves
//
// A list is inherited and can only become shorter. So the supervisor's list contains everything
// that its children need, also for their set-up, and the calls that start a program.
#pragma once

#include <string>
#include <vector>

#include "milter/config/config.h"

namespace process {

enum class Part { Supervisor, Proxy, Wire, Filter, Memory, Desk };

// Restricts this thread and the threads that it starts. Only a warning is logged if general.seccomp
// is off, or if the kernel refuses the list (it may be built without seccomp): mail is more
// important than this additional protection. Does nothing in a build with the address or thread
// sanitizer, because their runtimes make other calls. Requires: "no new privileges" is set, as
// drop() does.
void confine(Part part, const config::Config& config);

// The names of the system calls that `part` may make; some of them only with certain arguments.
// Used by tests: the systemd unit must allow all of them.
std::vector<std::string> allowed_calls(Part part);

}  // namespace process
