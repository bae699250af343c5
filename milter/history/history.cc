#include "milter/history/history.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <system_error>
#include <utility>

#include "milter/history/client_condition.h"
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

constexpr std::string_view kColumns =
    "id, time, queue_id, address, network, port, helo, tls, score, confidence, size, block, mss, "
    "terms, syn, ja4, listener, pattern, writer, path, gait, gait_class, would, action, held, "
    "basis, "
    "via, state, reason, dictionary, trace, ";

// The columns of a row, one after the other, in the order of kColumns.
class Columns {
 public:
  explicit Columns(const memory::Statement& row) : row_(row) {}
  std::int64_t integer() { return row_.integer(at_++); }
  double real() { return row_.real(at_++); }
  std::string_view text() { return row_.text(at_++); }
  bool is_null() const { return row_.is_null(at_); }

 private:
  const memory::Statement& row_;
  int at_ = 0;
};

memory::HeloShape helo_of(std::int64_t bits) {
  return {.literal = (bits & 1) != 0, .dotless = (bits & 2) != 0, .confirmed = (bits & 4) != 0};
}

Row read_row(const memory::Statement& statement, const OpenFile& file, int source,
             memory::TracePacker* packer) {
  Columns from(statement);
  Row row;
  row.at.id = from.integer();
  row.at.time = Time(std::chrono::milliseconds(from.integer()));
  row.at.source = source;
  row.queue_id = from.text();
  row.address = from.text();
  row.network = from.text();
  const bool has_port = !from.is_null();
  const auto port = static_cast<std::uint16_t>(from.integer());
  if (has_port) row.port = port;
  row.helo = helo_of(from.integer());
  row.tls = from.integer() != 0;
  row.score = from.real();
  row.confidence = from.real();
  row.size = static_cast<std::uint64_t>(from.integer());
  row.block = static_cast<std::uint32_t>(from.integer());
  row.mss = static_cast<std::uint32_t>(from.integer());
  row.terms = from.text();
  row.syn = from.text();
  row.ja4 = from.text();
  for (auto* word :
       {&row.listener, &row.pattern, &row.writer, &row.path, &row.gait, &row.gait_class, &row.would,
        &row.action, &row.held, &row.basis, &row.via, &row.state, &row.reason}) {
    *word = file.word(from.integer());
  }
  const auto dictionary = static_cast<std::uint32_t>(from.integer());
  const auto trace = from.text();
  if (packer != nullptr) row.trace = packer->unpack(trace, dictionary).value_or("");
  row.weight = std::max<std::int64_t>(from.integer(), 1);
  return row;
}

// Rows of `file` that are newer than `after` in the order of Cursor.
std::string in_front(const Cursor& after, int source) {
  const auto time = after.time.time_since_epoch().count();
  if (source < after.source) return fmt::format("time > {}", time);
  if (source > after.source) return fmt::format("time >= {}", time);
  return fmt::format("(time, id) > ({}, {})", time, after.id);
}

// Rows of `file` that come after `before` in the order of Cursor, newest first.
std::string behind(const Cursor& before, int source) {
  const auto time = before.time.time_since_epoch().count();
  if (source > before.source) return fmt::format("time < {}", time);
  if (source < before.source) return fmt::format("time <= {}", time);
  return fmt::format("(time, id) < ({}, {})", time, before.id);
}

struct Search {
  const Selection& selection;
  const ClientCondition& client;
  std::optional<Cursor> before;
  std::optional<Cursor> after;
  std::size_t rows;
  memory::TracePacker* packer;
};

// True: the selected rows have a queue id or an address.
bool is_of_a_person(const Selection& selection) {
  const auto& client = selection.client;
  return (!selection.queue_id.empty() && !selection.queue_id.excluded) ||
         (client && !client->excluded && client->kind == Client::Kind::Address);
}

void find_rows(OpenFile& file, int source, const Search& search, std::vector<Row>& rows) {
  if (is_of_a_person(search.selection) && file.is_truncated()) return;
  auto condition = file.condition(search.selection);
  search.client.add_to(condition);
  if (search.before) condition.add(behind(*search.before, source));
  if (search.after) condition.add(in_front(*search.after, source));
  const auto order = search.after ? "ASC" : "DESC";
  const auto limit =
      search.client.needs_rows() ? std::string() : fmt::format(" LIMIT {}", search.rows);
  // The unary + keeps SQLite from walking through the day by the time in search of a few rows.
  auto found = file.prepare(
      fmt::format("SELECT {0}{1} FROM messages WHERE {2} ORDER BY {3}time {5}, id {5}{4}", kColumns,
                  file.weight(), condition.sql, condition.is_needle ? "+" : "", limit, order),
      condition);
  constexpr int kAddress = 3;
  constexpr int kNetwork = 4;
  for (std::size_t left = search.rows; left > 0 && found.step();) {
    if (!search.client.holds(found.text(kAddress), found.text(kNetwork))) continue;
    rows.push_back(read_row(found, file, source, search.packer));
    --left;
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

// Of the days that the selection is about, newest first.
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
