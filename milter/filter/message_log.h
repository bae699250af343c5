// The log line of a message: facts of one judgement, in the order in which they are read.
#pragma once

#include <string_view>

#include "milter/filter/connection.h"

namespace filter {

// Writes one line (with level debug a second one, with the trace). No sender, recipient or content:
// `helo` is the only thing that the client chose.
void log_message(std::string_view queue_id, const Connection& connection,
                 const Judgement& judgement, std::size_t max_runs);

}  // namespace filter
