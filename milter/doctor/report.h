// Findings as a person reads them, and as a program does. Pure.
#pragma once

#include <string>
#include <vector>

#include "milter/doctor/finding.h"

namespace doctor {

// All that mends, each line once, in the order in which it works: what is to be installed, files,
// Postfix's settings and its reload, lines for segmilter.toml ("segmilter.toml: [proxy] …"), the
// firewall, segmilter's start.
std::vector<std::string> mend_in_order(const std::vector<Finding>& findings);

// A line a finding; of those that are not ok also what mends them. Ends with a count, with all that
// mends in its order where it is of several findings, and says an open relay once more. `colours`:
// for a terminal.
std::string report_text(const std::vector<Finding>& findings, bool colours);

// One object: {"findings": [{"check", "state", "looked_at", "found", "mend", "setting"}], "ok": 9,
// "warn": 0, "fail": 0, "skip": 1, "mend": […]}, the last as mend_in_order.
std::string report_json(const std::vector<Finding>& findings);

// 1 if anything has failed, else 0.
int exit_code(const std::vector<Finding>& findings);

}  // namespace doctor
