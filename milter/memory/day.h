// Days of UTC, and the files of the store that belong to one:
//
//     messages-20261127.db                   the day's rows
//     messages-20261127.db-wal, …-shm        of SQLite, while the file is in use
//     messages-20261127-schema1.db           rows of the same day by another version of the program
//     messages-20261127.db.corrupt-…         a file that SQLite could not read, moved aside
//
// Pure functions; safe from any thread.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace memory {

using Day = std::chrono::sys_days;
using Time = std::chrono::sys_time<std::chrono::milliseconds>;

inline Day day_of(Time time) {
  return std::chrono::floor<std::chrono::days>(time);
}

// "20261127"
std::string print(Day day);

// The day of a file of the store by its name; nothing: it is no such file.
std::optional<Day> day_in(std::string_view file_name);

}  // namespace memory
