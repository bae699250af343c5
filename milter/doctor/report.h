// Findings as a person reads them, and as a program does. Pure.
#pragma once

#include <string>
#include <vector>

#include "milter/doctor/finding.h"

namespace doctor {

// A line a finding; of those that are not ok also what mends them. Ends with a count, and says an
// open relay once more. `colours`: for a terminal.
std::string report_text(const std::vector<Finding>& findings, bool colours);

// One object: {"findings": [{"check", "state", "looked_at", "found", "mend", "setting"}], "ok": 9,
// "warn": 0, "fail": 0, "skip": 1}.
std::string report_json(const std::vector<Finding>& findings);

// 1 if anything has failed, else 0.
int exit_code(const std::vector<Finding>& findings);

}  // namespace doctor
