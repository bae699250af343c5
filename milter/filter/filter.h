// The filter process: answers Postfix, asks for evidence, classifies and acts. libmilter takes the
// signals HUP, TERM and INT for itself and may end its process, so the filter has a process of its
// own.
#pragma once

#include "milter/filter/counters.h"
#include "milter/memory/counters.h"
#include "milter/process/start.h"
#include "milter/reputation/counters.h"

namespace filter {

// Where judged messages are remembered.
struct MemoryLine {
  int socket;  // the filter's end of the socket pair, borrowed; -1: nowhere
  memory::Counters& counters;
  int reputations;  // the table that memory writes, borrowed; -1: there is none
  reputation::Counters& reputation_counters;
};

// Runs until the supervisor asks it to drain; without a supervisor SIGTERM ends it. `counters` go
// on from their current values. Returns a sysexits code while libmilter's threads still exist: the
// caller must end the process. Throws std::system_error or std::runtime_error if set-up fails.
int run(const process::Start& start, Counters& counters, const MemoryLine& memory);

}  // namespace filter
