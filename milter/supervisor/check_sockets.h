// A look at the places of the unix sockets, and of the filter's where it is of TCP, before a start.
#pragma once

#include "milter/config/config.h"

namespace supervisor {

// Before anything is bound: the socket has a folder to lie in, and no other segmilter answers on it.
// Throws process::SetupError, which says what to do next. Requires: rights are not dropped yet.
void check_evidence_socket(const config::Config& config);
void check_filter_socket(const config::Config& config);

}  // namespace supervisor
