// The C boundary: libmilter calls these functions, each with the context of one session. Each is
// guarded: an exception is counted, and the answer is "continue", because mail must flow.
#pragma once

#include <libmilter/mfapi.h>

#include "milter/filter/service.h"

namespace filter {

// libmilter's description of the filter, for smfi_register. All callbacks use `service`, which must
// live as long as the process: libmilter's threads outlive smfi_main().
smfiDesc describe(Service& service);

}  // namespace filter
