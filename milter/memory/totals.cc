#include "milter/memory/totals.h"

#include "milter/memory/database.h"

namespace memory {

Hours read_hours(const std::string& day_file) {
  Database day(day_file, Database::Mode::Write);  // it may have a write-ahead log to be read
  auto rows = day.prepare("SELECT hour, pattern, gait, action, n FROM hours");
  Hours hours;
  while (rows.step()) {
    hours.push_back({rows.integer(0), std::string(rows.text(1)), std::string(rows.text(2)),
                     std::string(rows.text(3)), rows.integer(4)});
  }
  return hours;
}

void keep_hours(const Hours& hours, const std::string& totals_file) {
  Database totals(totals_file, Database::Mode::Write);
  totals.execute(
      "CREATE TABLE IF NOT EXISTS hours (hour INTEGER, pattern TEXT, gait TEXT, action TEXT, "
      "n INTEGER NOT NULL, PRIMARY KEY (hour, pattern, gait, action)) WITHOUT ROWID");
  auto keep = totals.prepare("INSERT OR REPLACE INTO hours VALUES (?, ?, ?, ?, ?)");
  Transaction transaction(totals);
  for (const auto& hour : hours) {
    keep.bind(1, hour.hour);
    keep.bind(2, std::string_view(hour.pattern));
    keep.bind(3, std::string_view(hour.gait));
    keep.bind(4, std::string_view(hour.action));
    keep.bind(5, hour.messages);
    keep.run();
  }
  transaction.commit();
}

}  // namespace memory
