// The counters of all processes as a page for Prometheus (text exposition format 0.0.4).
#pragma once

#include <string>

#include "milter/process/metrics.h"

namespace desk {

inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// The version of the program, then `families` with their current values.
std::string metrics(const process::Families& families);

}  // namespace desk
