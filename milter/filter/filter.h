// The milter process: answers Postfix, asks for evidence, classifies, acts. libmilter takes the
// signals HUP, TERM and INT for itself and may end its process; that is why it has one of its own.
#pragma once

#include "milter/filter/counters.h"
#include "milter/process/start.h"

namespace filter {

// Runs until it is told to drain; without a supervisor SIGTERM ends it. `counters` go on from where they are. Returns a sysexits code, with libmilter's threads still
// there: the caller ends the process. Throws std::system_error or std::runtime_error when set-up
// fails.
int run(const process::Start& start, Counters& counters);

}  // namespace filter
