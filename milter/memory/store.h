// The store: a folder with a SQLite file for each day of UTC (day_file.h, day.h). It writes,
// shortens and removes; readers open the files for themselves, read-only. One thread, and one
// process: only `segmilter forget` deletes rows beside it.
//
//     sightings ─► write() ─► messages-20261127.db
//                                  │ after 3 days: truncate_some()
//                                  ▼ max_days, max_bytes, min_free: clean()
//                             removed, and the hours are kept in totals.db
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>

#include "milter/memory/address_form.h"
#include "milter/memory/database.h"
#include "milter/memory/day.h"
#include "milter/memory/day_file.h"
#include "milter/memory/packed_trace.h"
#include "milter/memory/retention.h"
#include "milter/memory/sampling.h"
#include "milter/memory/sighting.h"
#include "milter/memory/totals.h"

namespace memory {

// After this many days a row no longer has an address, a port or a queue id: only rows of today and
// of the two days before have them.
inline constexpr std::chrono::days kExactDays{3};

// The longest time for which sightings wait in the socket at the start. In two seconds SQLite reads
// about a gigabyte that is in memory.
inline constexpr std::chrono::milliseconds kCheckTime{2000};

// A file that was moved aside is removed after as many days as addresses are kept, because
// addresses cannot be taken out of it.
inline constexpr std::chrono::days kAsideDays = kExactDays;

class Store {
 public:
  explicit Store(std::string folder) : folder_(std::move(folder)) {}

  struct Written {
    std::size_t done = 0;  // so many of the first sightings are in the store
    std::size_t rows = 0;  // so many of them have a row; the others are counted in the hours only
    bool busy = false;     // the rest can be tried again
    std::string error;     // the rest cannot be written; empty: all was written, or busy
  };
  // In the order in which they come, one transaction for each change of the day. A file that is
  // damaged is moved aside, with an error in the log, and a new one is begun.
  Written write(std::span<const Sighting> sightings, const AddressForm& form);

  // Looks for damage in the file of `day`, for at most kCheckTime, and moves it aside if there is
  // any.
  void check(Day day);

  struct Cleaned {
    Uses uses;  // what is there now
    unsigned removed = 0;
    bool full = false;  // no row may be written: max_bytes or min_free would not hold
  };
  // Removes days that are too many, and files that were moved aside long ago. Throws
  // std::system_error where the folder cannot be read.
  Cleaned clean(const Limits& limits, Day today);

  // Shortens the next `rows` rows that are old enough. False: there is none left. What fails is
  // logged, and tried again on the next day.
  bool truncate_some(unsigned rows, Day today);

  // Empties the write-ahead logs that no reader holds.
  void checkpoint();
  // A file that somebody has removed or replaced is opened anew at the next write.
  void forget_lost_files();

  // Of the messages that come, the harmless ones have a row for every `one_of` (sampling.h).
  void sample(std::uint32_t one_of) { sampler_.set(one_of); }

  std::size_t corrupt() const { return corrupt_; }  // files moved aside so far

 private:
  std::string path(Day day) const;
  DayFile& open(Day day);
  void open_new(Day day);
  bool write_run(std::span<const Sighting> run, const AddressForm& form, Written& written);
  void move_aside(Day day, const std::string& why);
  void remove(Day day, const DayUse& use);
  bool truncate(Day day, unsigned rows);
  void remove_aside(const Uses& uses, Day today);
  bool keep(const Hours& hours, bool is_last);

  const std::string folder_;
  TracePacker packer_;
  Sampler sampler_;
  // Files to which rows are written: today's, and that of the day before around midnight.
  static constexpr std::size_t kMostOpen = 2;
  std::map<Day, std::unique_ptr<DayFile>> open_;
  std::set<Day> truncated_;  // with which today has nothing left to do; bounded by the files
  Day truncated_on_{};       // today, for truncated_
  std::size_t corrupt_ = 0;
};

}  // namespace memory
