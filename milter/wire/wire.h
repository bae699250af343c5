// The observer beside the path of the mail. It watches the packets of Postfix's own port and serves
// the evidence socket as the proxy does. Whatever happens to it, mail flows. One thread.
//
// The ring is read when the filter asks: a packet is in the ring before Postfix can have read it,
// so the evidence of a message is complete when the filter's question comes. Otherwise the ring is
// read at each tick and when it is a quarter full.
#pragma once

#include "milter/capture/wire_tap.h"
#include "milter/process/start.h"
#include "milter/wire/counters.h"

namespace wire {

// Runs until the supervisor asks it to drain (process/orders.h). There is nothing to finish, so it
// ends at once. Returns a sysexits code; throws if set-up fails.
int run(const process::Start& start, capture::WireTap& tap, Counters& counters);

}  // namespace wire
