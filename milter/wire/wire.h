// The observer beside the mail's path: watches the packets of Postfix's own port and serves the
// evidence socket as the proxy does. Whatever happens to it, mail flows. One thread.
//
// The ring is read when somebody asks: a packet is in it before Postfix can have read it, so the
// evidence of a message is complete when the filter's question comes. Else it is read at a tick and
// when it is a quarter full.
#pragma once

#include "milter/capture/wire_tap.h"
#include "milter/process/start.h"
#include "milter/wire/counters.h"

namespace wire {

// Runs until it is told to drain (process/orders.h): there is nothing to finish, so it ends at
// once. Returns a sysexits code; throws when set-up fails.
int run(const process::Start& start, capture::WireTap& tap, Counters& counters);

}  // namespace wire
