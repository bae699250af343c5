// `segmilter run`: opens what needs rights, drops the rights, and keeps the children running: proxy
// or wire, filter, desk, as many of them as the configuration wants (children.h has the table).
//
//     TERM, INT   the children drain, one after the other; a second signal kills all at once
//     HUP         the file is read and checked, and its text is sent to the children; if it has an
//                 error, one line goes to the log and nothing changes
//     USR2        the program file at our own path takes over; no client is refused (upgrade.h)
//     CHLD        a child that died is started again (child.h says when)
//
// One thread: the children are forked from it without exec, and fork in a process with several
// threads is not safe.
#pragma once

#include <string>
#include <string_view>

#include "milter/config/config.h"

namespace supervisor {

// Runs until a signal ends it. Without proxy.listen there is no proxy, and without wire.ports no
// wire observer. Returns a sysexits code: EX_OK, or the code of a child that failed before all
// children were ready for the first time. Throws process::SetupError, std::system_error.
int run(config::Config config, const std::string& config_file);

// Runs one process alone, in the foreground and without a supervisor: `segmilter proxy`, `segmilter
// wire`, `segmilter filter`. Requires: `name` is the name of a child (children.h). Throws as run()
// does.
int run_alone(std::string_view name, config::Config config, const std::string& config_file);

}  // namespace supervisor
