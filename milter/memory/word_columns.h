// The columns of `messages` that have the number of a word (day_file.h), in the order of the row.
// Groups of rows that older versions have summarised have no words of a new column (row_groups.h),
// so that such a column needs another schema of the file.
#pragma once

namespace memory {

inline constexpr const char* kWordColumns[] = {"listener",   "pattern", "writer", "path", "gait",
                                               "gait_class", "would",   "action", "held", "basis",
                                               "via",        "state",   "reason"};

}  // namespace memory
