// What the pages show, for programs: JSON and CSV. Messages have the form of `segmilter history`
// (history/print.h). Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "milter/desk/findings.h"
#include "milter/desk/frame.h"

namespace desk {

inline constexpr const char* kJson = "application/json";
inline constexpr const char* kCsv = "text/csv; charset=utf-8";

// Objects {"messages": […], "older": CURSOR or null, "problems": […]}; times are RFC 3339.
std::string messages_json(const Rows& rows);
std::string messages_csv(const Rows& rows);

std::string groups_json(const std::vector<Group>& groups, std::string_view key);
std::string groups_csv(const std::vector<Group>& groups, std::string_view key);

std::string overview_json(const Overview& overview, const Context& context);
std::string estimate_json(const Estimate& estimate, const Thresholds& thresholds);
std::string health_json(const Overview* overview, const Context& context);

}  // namespace desk
