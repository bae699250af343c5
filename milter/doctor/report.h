// Prints findings as text for people and as JSON for programs. Pure.
#pragma once

#include <string>
#include <vector>

#include "milter/doctor/finding.h"

namespace doctor {

// The fixing lines of all findings, each line once, in an order that works: packages to install,
// modes of files, Postfix's settings and reload, lines for segmilter.toml ("segmilter.toml: [proxy]
// …"), the firewall, segmilter's start.
std::vector<std::string> mend_in_order(const std::vector<Finding>& findings);

// One line for each finding, followed by the fixing lines if the finding is not ok. The report ends
// with counts. If several findings have fixing lines, all of them follow in the order of
// mend_in_order. The last line repeats an open relay, because that is the most urgent finding.
// `colours`: with escape sequences, for a terminal.
std::string report_text(const std::vector<Finding>& findings, bool colours);

// One object: {"findings": [{"check", "state", "looked_at", "found", "mend", "setting"}], "ok": 9,
// "warn": 0, "fail": 0, "skip": 1, "mend": […]}. The last "mend" is mend_in_order's result.
std::string report_json(const std::vector<Finding>& findings);

// 1 if a finding's state is Fail, else 0.
int exit_code(const std::vector<Finding>& findings);

}  // namespace doctor
