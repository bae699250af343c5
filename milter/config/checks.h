// Checks that concern several settings at once: combinations that would be unsafe or without
// meaning.
#pragma once

#include <string>
#include <vector>

#include "milter/config/config.h"
#include "milter/config/source.h"

namespace config {

// Requires: each setting is valid by itself, and complete_listeners() has filled in the listeners'
// policies. Throws ConfigError for the first combination that is refused.
void check_between(const Source& source, const Config& config);

// Returns warnings for values that are allowed but rarely intended, such as "proxy.idle_timeout:
// …". `check` prints them, and they are logged at start.
std::vector<std::string> warnings(const Config& config);

// True if a proxy or a wire observer is configured.
bool observes(const Config& config);
// Returns one more warning for `check` and `run`, which use the whole configuration: why no message
// can be observed, and what to set. Empty if messages can be observed.
std::string why_unobserved(const Config& config);

}  // namespace config
