// How many messages there were in each hour, by pattern, gait and action: kept for years, when the
// rows that were counted are long gone. While a day's file is there, its hours are in it
// (day_file.h); when it is removed they go into totals.db.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace memory {

inline constexpr std::string_view kTotalsFile = "totals.db";

struct HourCount {
  std::int64_t hour = 0;  // since 1970, UTC
  std::string pattern;
  std::string gait;
  std::string action;
  std::int64_t messages = 0;
};
using Hours = std::vector<HourCount>;

// The hours of a day's file. Throws DatabaseError.
Hours read_hours(const std::string& day_file);

// Replaces what `totals_file` has for the same hours, so that it does no harm to do this twice.
// Throws DatabaseError; then nothing is changed.
void keep_hours(const Hours& hours, const std::string& totals_file);

}  // namespace memory
