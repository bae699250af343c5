#include "milter/memory/store.h"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

#include "milter/log/log.h"
#include "milter/net/fd.h"

namespace memory {
namespace {

constexpr const char* kSidecars[] = {"-wal", "-shm"};

void move(const std::string& from, const std::string& to) {
  net::check(std::rename(from.c_str(), to.c_str()), fmt::format("move {} to {}", from, to));
}

// Requires: SQLite does not have the file open. Its log is moved too, because it may have rows that
// are not in the file yet.
void move_with_sidecars(const std::string& from, const std::string& to) {
  move(from, to);
  for (const auto* sidecar : kSidecars) {
    (void)std::rename((from + sidecar).c_str(), (to + sidecar).c_str());
  }
}

// Two files of a day, of two versions of the program, may have the same hour.
void add(Hours& hours, Hours more) {
  for (auto& hour : more) {
    const auto same = std::find_if(hours.begin(), hours.end(), [&hour](const HourCount& other) {
      return other.hour == hour.hour && other.pattern == hour.pattern && other.gait == hour.gait &&
             other.action == hour.action;
    });
    if (same != hours.end()) {
      same->messages += hour.messages;
    } else {
      hours.push_back(std::move(hour));
    }
  }
}

// What the disk has left for a user who is not root.
std::uint64_t free_bytes(const std::string& folder) {
  struct statvfs about {};
  net::check(statvfs(folder.c_str(), &about), "look at the disk of " + folder);
  return std::uint64_t{about.f_bavail} * about.f_frsize;
}

}  // namespace

std::string Store::path(Day day) const {
  return fmt::format("{}/messages-{}.db", folder_, print(day));
}

// A program of another version may have begun the day: its file is kept under another name.
void Store::open_new(Day day) {
  try {
    open_[day] = std::make_unique<DayFile>(path(day));
  } catch (const OtherSchema& other) {
    const auto name =
        fmt::format("{}/messages-{}-schema{}.db", folder_, print(day), other.schema());
    if (access(name.c_str(), F_OK) == 0) {
      throw DatabaseError(Trouble::Other,
                          fmt::format("{}; {} is there already", other.what(), name));
    }
    move_with_sidecars(path(day), name);
    logging::info(fmt::format("{}; it is kept as {}", other.what(), name));
    open_[day] = std::make_unique<DayFile>(path(day));
  }
}

DayFile& Store::open(Day day) {
  auto& file = open_[day];
  if (file) return *file;
  try {
    open_new(day);
  } catch (...) {
    open_.erase(day);
    throw;
  }
  while (open_.size() > kMostOpen) {
    const auto oldest = open_.begin();
    open_.erase(oldest->first == day ? std::next(oldest) : oldest);
  }
  truncated_.erase(day);
  return *open_.at(day);
}

void Store::move_aside(Day day, const std::string& why) {
  open_.erase(day);
  const auto aside = fmt::format("{}.corrupt-{}", path(day), std::time(nullptr));
  move_with_sidecars(path(day), aside);
  ++corrupt_;
  logging::error(fmt::format("{}; the file is moved to {}, and a new one is begun", why, aside));
}

void Store::check(Day day) {
  if (access(path(day).c_str(), F_OK) != 0) return;
  try {
    const auto damage = open(day).damage(kCheckTime);
    if (!damage.empty()) move_aside(day, fmt::format("{}: {}", path(day), damage));
  } catch (const DatabaseError& error) {
    if (error.trouble() == Trouble::Corrupt) move_aside(day, error.what());
  }
}

// False: the run is not written, and `written` says why.
bool Store::write_run(std::span<const Sighting> run, const AddressForm& form, Written& written) {
  const auto day = day_of(run.front().time);
  for (int attempt = 1;; ++attempt) {
    try {
      written.rows += open(day).write(run, form, packer_, sampler_);
      written.done += run.size();
      return true;
    } catch (const DatabaseError& error) {
      written.busy = error.trouble() == Trouble::Busy;
      if (written.busy) return false;
      if (error.trouble() == Trouble::Corrupt && attempt == 1) {
        move_aside(day, error.what());
        continue;
      }
      open_.erase(day);  // opened anew: the disk may be another one by then
      written.error = error.what();
      return false;
    }
  }
}

Store::Written Store::write(std::span<const Sighting> sightings, const AddressForm& form) {
  Written written;
  try {
    while (!sightings.empty()) {
      const auto day = day_of(sightings.front().time);
      const auto end = std::find_if(sightings.begin(), sightings.end(),
                                    [day](const Sighting& s) { return day_of(s.time) != day; });
      const auto count = static_cast<std::size_t>(end - sightings.begin());
      if (!write_run(sightings.first(count), form, written)) break;
      sightings = sightings.subspan(count);
    }
  } catch (const std::exception& error) {
    written.error = error.what();
  }
  return written;
}

// False: there was no room, or the file cannot be written.
bool Store::keep(const Hours& hours, bool is_last) {
  const auto totals = fmt::format("{}/{}", folder_, kTotalsFile);
  try {
    keep_hours(hours, totals);
    return true;
  } catch (const DatabaseError& error) {
    if (is_last) logging::error(fmt::format("the totals of some hours are lost: {}", error.what()));
    return false;
  }
}

// Its hours are kept before the files are removed or, if the disk is full, after it.
void Store::remove(Day day, const DayUse& use) {
  open_.erase(day);
  truncated_.erase(day);
  Hours hours;
  for (const auto& file : use.files) {
    if (!file.ends_with(".db")) continue;
    try {
      add(hours, read_hours(folder_ + "/" + file));
    } catch (const DatabaseError& error) {
      logging::error(fmt::format("{}; the totals of its hours are lost", error.what()));
    }
  }
  const bool kept = keep(hours, false);
  for (const auto& file : use.files) {
    const auto path = folder_ + "/" + file;
    if (unlink(path.c_str()) != 0 && errno != ENOENT) {
      logging::error(fmt::format("remove {}: {}", path, std::strerror(errno)));
    }
  }
  if (!kept) (void)keep(hours, true);
  logging::info(fmt::format("the messages of {} are removed from {}", print(day), folder_));
}

// "messages-20261127.db.corrupt-1795780800": the number is the time at which it was moved.
void Store::remove_aside(const Uses& uses, Day today) {
  constexpr std::string_view kMark = ".corrupt-";
  for (const auto& [day, use] : uses) {
    for (const auto& file : use.files) {
      const auto at = file.find(kMark);
      if (at == file.npos) continue;
      const auto moved = std::strtoll(file.c_str() + at + kMark.size(), nullptr, 10);
      const auto moved_on = std::chrono::floor<std::chrono::days>(
          std::chrono::sys_seconds(std::chrono::seconds(moved)));
      if (moved_on + kAsideDays > today) continue;
      if (unlink((folder_ + "/" + file).c_str()) == 0) {
        logging::info(fmt::format("{}/{} is removed", folder_, file));
      }
    }
  }
}

Store::Cleaned Store::clean(const Limits& limits, Day today) {
  Cleaned cleaned;
  remove_aside(uses(folder_), today);
  auto found = uses(folder_);
  const auto plan = memory::plan(found, free_bytes(folder_), limits, today);
  for (const Day day : plan.remove) remove(day, found.at(day));
  cleaned.removed = static_cast<unsigned>(plan.remove.size());
  cleaned.uses = plan.remove.empty() ? std::move(found) : uses(folder_);
  cleaned.full = plan.full;
  return cleaned;
}

bool Store::truncate_some(unsigned rows, Day today) {
  if (std::exchange(truncated_on_, today) != today) truncated_.clear();
  for (const auto& [day, use] : uses(folder_)) {
    if (day + kExactDays > today) return false;
    const bool is_there = std::find(use.files.begin(), use.files.end(),
                                    fmt::format("messages-{}.db", print(day))) != use.files.end();
    if (!is_there || truncated_.contains(day)) continue;
    if (truncate(day, rows)) return true;
    truncated_.insert(day);
    return true;
  }
  return false;
}

// False: nothing is left to do in the file, or nothing can be done.
bool Store::truncate(Day day, unsigned rows) {
  std::string problem;
  try {
    if (open(day).truncate(rows)) return true;
  } catch (const DatabaseError& error) {
    problem = error.what();
    if (error.trouble() == Trouble::Busy) return true;
    if (error.trouble() == Trouble::Corrupt) {
      move_aside(day, problem);
      return false;
    }
  } catch (const std::exception& error) {
    problem = error.what();
  }
  open_.erase(day);
  if (problem.empty()) return false;
  logging::error(fmt::format("{}: addresses older than {} days are not taken away: {}", path(day),
                             kExactDays.count(), problem));
  return false;
}

void Store::checkpoint() {
  for (const auto& [day, file] : open_) {
    try {
      file->checkpoint();
    } catch (const DatabaseError& error) {
      logging::error(error.what());
    }
  }
}

void Store::forget_lost_files() {
  std::erase_if(open_, [](const auto& entry) { return !entry.second->intact(); });
}

}  // namespace memory
