// Which days are removed. Only whole days are, the oldest first, because only the removal of a file
// frees room on a full disk: SQLite refuses to delete rows there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "milter/memory/day.h"

namespace memory {

struct DayUse {
  std::uint64_t bytes = 0;         // on the disk, of all files of the day
  std::vector<std::string> files;  // names without the folder
};
using Uses = std::map<Day, DayUse>;

// A file of the day after today may be of a clock that was set back by hours. One of a later day was
// written while the clock was wrong, and nothing says how old it is.
inline bool is_ahead(Day day, Day today) {
  return day > today + std::chrono::days(1);
}

// The files of the store in `folder`. Throws std::system_error "read the folder …".
Uses uses(const std::string& folder);

struct Limits {
  unsigned max_days = 0;  // today is one of them
  std::uint64_t max_bytes = 0;
  std::uint64_t min_free = 0;
};

struct Plan {
  std::vector<Day> remove;
  // Even then there is more than max_bytes, or less free than min_free: nothing may be written.
  bool full = false;
};

// `free`: bytes that the disk has left for this user. The files of today and of the next day stay.
// Those of later days are not too old, and are the first to go where room is needed.
Plan plan(const Uses& uses, std::uint64_t free, const Limits& limits, Day today);

}  // namespace memory
