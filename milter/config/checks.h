// What only holds between settings: combinations that would be unsafe, or mean nothing.
#pragma once

#include <string>
#include <vector>

#include "milter/config/config.h"
#include "milter/config/source.h"

namespace config {

// Requires: each setting is good in itself, and the listeners have their policies. Throws
// ConfigError for the first combination that is refused.
void check_between(const Source& source, const Config& config);

// What is allowed but seldom meant: "proxy.idle_timeout: …", for `check` and the log at start.
std::vector<std::string> warnings(const Config& config);

// Whether a proxy or a wire observer is configured.
bool observes(const Config& config);
// One warning more, for `check` and `run`, which look at the whole: why no message can be observed,
// and what to set. Empty: some can.
std::string why_unobserved(const Config& config);

}  // namespace config
