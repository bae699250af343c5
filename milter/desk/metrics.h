// The counts as a page for Prometheus (text exposition format 0.0.4): one family a count, with what
// it means. Names and labels are an outside face: dashboards and alerts rely on them.
#pragma once

#include <string>

#include "milter/config/config.h"
#include "milter/desk/counts.h"

namespace desk {

inline constexpr const char* kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// `config`: which processes there are.
std::string metrics(const Counts& counts, const config::Config& config);

}  // namespace desk
