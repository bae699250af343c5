// Checks the places of the unix sockets, and of the filter's TCP address, before a start.
#pragma once

#include "milter/config/config.h"

namespace supervisor {

// Before any socket is bound: the socket's folder exists, and no other segmilter answers on the
// socket. Throws process::SetupError, which says what to do next. Requires: the rights are not
// dropped yet.
void check_evidence_socket(const config::Config& config);
void check_filter_socket(const config::Config& config);
void check_policy_socket(const config::Config& config);

}  // namespace supervisor
