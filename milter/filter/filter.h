// The milter process: answers Postfix, asks for evidence, classifies, acts. libmilter takes the
// signals HUP, TERM and INT for itself and may end its process; that is why it has one of its own.
#pragma once

#include <string>

#include "milter/config/config.h"
#include "milter/filter/counters.h"

namespace filter {

// Runs until it is told to drain (control descriptor, see process/control.h; -1: none, then
// SIGTERM ends it). `config_file` names the file in messages at a reload.
// `counters` go on from where they are. Returns a sysexits code, with libmilter's threads still
// there: the caller ends the process. Throws std::system_error or std::runtime_error when set-up
// fails.
int run(const config::Config& config, const std::string& config_file, Counters& counters,
        int control_fd);

}  // namespace filter
