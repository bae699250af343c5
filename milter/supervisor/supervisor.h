// `segmilter run`: opens what needs rights, drops them, and keeps the children running (children.h).
//
//     TERM, INT   the children drain, one after the other; a second one ends all at once
//     HUP         the file is read and checked; its very text goes to the children, or, when there
//                 is an error, one line to the log, and nothing changes
//     USR2        the program at our own path takes over, and nobody is refused (upgrade.h)
//     CHLD        a child that died is started again (child.h says when)
//
// One thread. The children are forked from it, so it never has another.
#pragma once

#include <string>
#include <string_view>

#include "milter/config/config.h"

namespace supervisor {

// Runs until it is told to end. Without proxy.listen only the filter is started. Returns a sysexits
// code: EX_OK, or that of a child that failed before everything was ready for the first time.
// Throws SetupError, std::system_error.
int run(config::Config config, const std::string& config_file);

// One process alone, in the foreground, without a supervisor: `segmilter proxy`, `segmilter wire`,
// `segmilter filter`. Requires: `name` is that of a child (children.h). Throws as run().
int run_alone(std::string_view name, config::Config config, const std::string& config_file);

}  // namespace supervisor
