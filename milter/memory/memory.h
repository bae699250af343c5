// The process that remembers: it takes sightings from the filter and writes them into the store. It
// is not in the mail's path, and nothing waits for it. One thread.
//
//     filter ──socket pair──► batch ──each 200 ms, or 500 sightings──► Store
//                  │              │      └──► Teaching ─► table of reputations
//       full: dropped and       disk full, limits: dropped and counted,
//       counted by the filter   tried again after a second
#pragma once

#include "milter/memory/counters.h"
#include "milter/process/start.h"
#include "milter/reputation/counters.h"

namespace memory {

// Bytes of sightings that may wait in the socket for the process; without the right to it the
// kernel gives less (net.core.wmem_max).
inline constexpr int kSocketBytes = 8 * 1024 * 1024;

// What the process receives at its start. The descriptors are borrowed.
struct Inputs {
  int sightings;  // its end of the socket pair; without a supervisor it is not read, and the files
                  // are looked after only
  int reputations;  // the table (reputation/table.h), of which it is the only writer
  Counters& counters;
  reputation::Counters& reputation_counters;
};

// Runs until it is told to drain: what waits in the socket is written then. Returns a sysexits
// code; throws when set-up fails.
int run(const process::Start& start, const Inputs& inputs);

}  // namespace memory
