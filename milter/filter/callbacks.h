// The C boundary: libmilter calls these, each with one session's context. Every one is guarded: an
// exception is counted and the answer is "go on", because mail must flow.
#pragma once

#include <libmilter/mfapi.h>

#include "milter/filter/service.h"

namespace filter {

// libmilter's description of the filter, for smfi_register. `service` is used by all callbacks and
// must live as long as the process: libmilter's threads outlive smfi_main().
smfiDesc describe(Service& service);

}  // namespace filter
