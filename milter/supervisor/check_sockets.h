// A look at the places of the unix sockets, and of the filter's where it is of TCP, before a start.
#pragma once

#include "milter/config/config.h"

namespace supervisor {

// Before anything is bound: each unix socket has a folder to lie in, and no other segmilter answers
// on one of them. `observer`, `filter`: what is to be started. Throws SetupError, which says what
// to do next. Requires: rights are not dropped yet.
void check_sockets(const config::Config& config, bool observer, bool filter);

}  // namespace supervisor
