#include "milter/history/history.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <utility>

#include "milter/history/client_condition.h"
#include "milter/history/search.h"
#include "milter/history/store_file.h"
#include "milter/history/tally.h"
#include "milter/memory/database.h"
#include "milter/memory/retention.h"
#include "milter/memory/totals.h"
#include "text/number.h"

namespace history {
namespace {

using memory::Database;
using memory::DatabaseError;
using std::chrono::days;

// Returns nothing for a file of the store that has no rows to read (a write-ahead log, a file
// that was moved aside).
std::optional<int> source_of(std::string_view name, Day day) {
  const auto begin = fmt::format("messages-{}", memory::print(day));
  name.remove_prefix(std::min(name.size(), begin.size()));
  if (name == ".db") return 0;
  constexpr std::string_view kSchema = "-schema";
  if (!name.starts_with(kSchema) || !name.ends_with(".db")) return std::nullopt;
  name.remove_prefix(kSchema.size());
  name.remove_suffix(3);
  const auto schema = text::number<std::uint16_t>(name);
  return schema ? std::optional<int>(*schema) : std::nullopt;
}

memory::Uses uses_of(const std::string& folder) {
  try {
    return memory::uses(folder);
  } catch (const std::system_error& error) {
    using Why = Unavailable::Why;
    switch (error.code().value()) {
      case ENOENT:
        throw Unavailable(Why::Missing,
                          fmt::format("{}: there is no such folder, so nothing was remembered yet; "
                                      "is memory.enabled true, and has the service run?",
                                      folder));
      case EACCES:
      case EPERM:
        throw Unavailable(
            Why::Forbidden,
            fmt::format("{}: this user may not read the store: run it as root, or as a "
                        "member of the group of general.user",
                        folder));
      default:
        throw Unavailable(Why::Other, error.what());
    }
  }
}

bool overlaps(Day day, const Selection& selection) {
  return (!selection.from || *selection.from < day + days(1)) &&
         (!selection.to || day < *selection.to);
}

// Calls `read` with the file. An error becomes one of the problems, unless the file is gone.
template <typename Read>
void with_file(const StoreFile& file, std::vector<std::string>& problems, Read&& read) {
  try {
    OpenFile open(file);
    read(open);
  } catch (const DatabaseError& error) {
    if (access(file.path.c_str(), F_OK) != 0) return;
    if (access(file.path.c_str(), R_OK) != 0) {
      throw Unavailable(
          Unavailable::Why::Forbidden,
          fmt::format(
              "{}: this user may not read the file: run it as root, or as a member of the group "
              "of general.user",
              file.path));
    }
    problems.emplace_back(
        fmt::format("{}; what could not be read of it is left out", error.what()));
  } catch (const std::runtime_error& error) {
    problems.emplace_back(
        fmt::format("{}; what could not be read of it is left out", error.what()));
  }
}

bool is_newer(const Row& a, const Row& b) {
  return b.at < a.at;
}

bool is_older(const Row& a, const Row& b) {
  return a.at < b.at;
}

// True: totals.db can tell which of its messages are selected.
bool totals_can_tell(const Selection& selection) {
  Selection rest = selection;
  rest.from = rest.to = std::nullopt;
  rest.pattern = rest.gait = rest.action = Values();
  return rest == Selection();
}

using Days = std::map<Day, DayCount::From>;

bool is_from_rows(const Days& list, Day day) {
  const auto found = list.find(day);
  return found != list.end() && found->second == DayCount::From::Rows;
}

// An hour of totals.db counts if it begins in the time that was asked for.
bool is_in(Time time, const Selection& selection) {
  return (!selection.from || time >= *selection.from) && (!selection.to || time < *selection.to);
}

// Calls `take` with each hour. If the file does not exist, there are no hours.
template <typename Take>
void with_totals(const std::string& file, std::vector<std::string>& problems, Take&& take) {
  if (access(file.c_str(), F_OK) != 0) return;
  try {
    Database totals(file, Database::Mode::Read);
    auto hours = totals.prepare("SELECT hour, pattern, gait, action, n FROM hours");
    while (hours.step()) {
      take({hours.integer(0), std::string(hours.text(1)), std::string(hours.text(2)),
            std::string(hours.text(3)), hours.integer(4)});
    }
  } catch (const DatabaseError& error) {
    problems.push_back(fmt::format("{}; the hours of removed days are left out", error.what()));
  }
}

// The days from the first one that is known of, or that was asked for, to the last one.
std::vector<DayCount> each_day(const Days& found, const Selection& selection) {
  std::vector<DayCount> list;
  if (found.empty()) return list;
  Day day = found.begin()->first;
  Day last = found.rbegin()->first;
  if (selection.to)
    last = std::max(last, memory::day_of(*selection.to - std::chrono::milliseconds(1)));
  for (; day <= last && list.size() < Counts::kMostDays; day += days(1)) {
    const auto one = found.find(day);
    list.push_back({day, one == found.end() ? DayCount::From::Nothing : one->second});
  }
  return list;
}

bool holds(const Values& values, const std::string& word) {
  if (values.empty()) return true;
  return (std::find(values.any.begin(), values.any.end(), word) != values.any.end()) !=
         values.excluded;
}

}  // namespace

// Opens the files of the days that the selection is about, newest first.
std::vector<StoreFile> History::files(const Selection& selection,
                                      std::vector<std::string>& problems) const {
  std::vector<StoreFile> files;
  for (const auto& [day, use] : uses_of(settings_.folder)) {
    if (!overlaps(day, selection)) continue;
    for (const auto& name : use.files) {
      const auto path = fmt::format("{}/{}", settings_.folder, name);
      if (const auto source = source_of(name, day)) {
        files.push_back({day, *source, path});
      } else if (name.find(".corrupt-") != name.npos && !name.ends_with("-wal") &&
                 !name.ends_with("-shm")) {
        problems.push_back(
            fmt::format("{}: is damaged and was moved aside; its messages are left out", path));
      }
    }
  }
  std::sort(files.begin(), files.end(), [](const StoreFile& a, const StoreFile& b) {
    return std::pair(a.day, a.source) > std::pair(b.day, b.source);
  });
  return files;
}

Page History::page(const Selection& selection, const PageRequest& request) {
  Page page;
  const ClientCondition client(settings_, selection.client);
  const auto wanted = std::clamp<std::size_t>(request.rows, 1, PageRequest::kMostRows);
  const Search search{selection,     client,     request.before,
                      request.after, wanted + 1, request.traces ? &packer_ : nullptr};
  auto& rows = page.rows;
  auto all = files(selection, page.problems);
  if (request.after) std::reverse(all.begin(), all.end());  // oldest first
  for (auto file = all.begin(); file != all.end() && rows.size() <= wanted;) {
    const Day day = file->day;
    const auto first = static_cast<std::ptrdiff_t>(rows.size());
    for (; file != all.end() && file->day == day; ++file) {
      if (request.before && request.before->time < file->day) continue;
      if (request.after && request.after->time >= file->day + days(1)) continue;
      with_file(*file, page.problems,
                [&](OpenFile& open) { find_rows(open, file->source, search, rows); });
    }
    std::sort(rows.begin() + first, rows.end(), request.after ? is_older : is_newer);
  }
  const bool has_more = rows.size() > wanted;
  if (has_more) rows.resize(wanted);
  if (request.after) std::reverse(rows.begin(), rows.end());
  if (rows.empty()) return page;
  // After rows that are newer than a given row there is at least that row.
  if (has_more || request.after) page.before = rows.back().at;
  if (has_more && request.after) page.after = rows.front().at;
  return page;
}

Counts History::count(const Selection& selection, const CountRequest& request) {
  const ClientCondition client(settings_, selection.client);
  Tally tally(request);
  std::vector<std::string> problems;
  Days there;
  for (const auto& file : files(selection, problems)) {
    there[file.day] = DayCount::From::Rows;
    with_file(file, problems, [&](OpenFile& open) { tally.add_file(open, selection, client); });
  }
  const auto totals = fmt::format("{}/{}", settings_.folder, memory::kTotalsFile);
  with_totals(totals, problems, [&](const memory::HourCount& hour) {
    const Time time{std::chrono::hours(hour.hour)};
    const Day day = memory::day_of(time);
    if (!is_in(time, selection) || is_from_rows(there, day)) return;
    there[day] = DayCount::From::Totals;
    if (!totals_can_tell(selection)) return;
    if (holds(selection.pattern, hour.pattern) && holds(selection.gait, hour.gait) &&
        holds(selection.action, hour.action)) {
      tally.add_hour(hour);
    }
  });
  Counts counts = tally.take();
  counts.totals_left_out = !totals_can_tell(selection);
  counts.days = each_day(there, selection);
  counts.problems = std::move(problems);
  return counts;
}

}  // namespace history
