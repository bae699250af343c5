// One day file of the store, opened read-only, with the words that its rows refer to, and what is
// known of its groups of rows (memory/row_groups.h). Internal to history. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milter/history/selection.h"
#include "milter/memory/database.h"
#include "milter/memory/day.h"

namespace history {

struct StoreFile {
  memory::Day day;
  int source = 0;  // as in Cursor
  std::string path;
};

// A text that a group of rows has in one of its filters (memory/row_groups.h).
struct Filed {
  enum class In { Networks, Exact } in;
  std::string text;
};

// The part of a WHERE clause that a selection is in one file, and the texts for its parameters; and
// what is known of a group that has such a row.
struct Condition {
  std::string sql = "1";
  std::vector<std::string> texts;
  std::string group_sql = "1";
  std::vector<std::vector<Filed>> group_has;  // of each list, one of the texts

  void add(std::string_view term) { sql.append(" AND ").append(term); }
  void add_to_group(std::string_view term) { group_sql.append(" AND ").append(term); }
};

// Rows with these ids, both included, and times between these, in milliseconds.
struct RowRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::int64_t oldest = 0;
  std::int64_t newest = 0;
};

class OpenFile {
 public:
  // Words of one file. The writer makes no more than there are labels, gaits and listeners.
  static constexpr std::int64_t kMostWords = 10'000;
  // Groups of rows of one file: those of a thousand million rows.
  static constexpr std::size_t kMostGroups = 1'000'000;

  // Throws memory::DatabaseError, and std::runtime_error for a schema that is not known.
  explicit OpenFile(const StoreFile& file);

  const std::string& word(std::int64_t id) const;  // empty: there is none
  // By id; an id that has no word is empty.
  const std::vector<std::string>& words() const { return words_; }
  // "weight", or what stands for it in a file that has no such column.
  const char* weight() const { return has_weight_ ? "weight" : "1"; }
  // No row has an address or a queue id any more.
  bool is_truncated();
  // For questions whose answers have to agree.
  memory::Snapshot snapshot() { return memory::Snapshot(database_); }
  // Without the client, which client_condition.h adds.
  Condition condition(const Selection& selection) const;
  // All rows that `condition` holds for are in one of these, which are in the order of the ids.
  std::vector<RowRange> ranges(const Condition& condition);
  // `before`: parameters of `sql` that stand in front of those of the condition. The statement
  // borrows the condition's texts.
  memory::Statement prepare(const std::string& sql, const Condition& condition, int before = 0);

 private:
  void check_key();
  void read_words();
  void add_words(const WordKey& key, const Values& values, Condition& condition) const;

  const std::string path_;
  memory::Database database_;
  bool has_weight_ = false;
  bool has_groups_ = false;
  std::vector<std::string> words_;
};

}  // namespace history
