// One day file of the store, opened read-only, with the words that its rows refer to. Internal to
// history. One thread.
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

// The part of a WHERE clause that a selection is in one file, and the texts for its parameters.
struct Condition {
  std::string sql;
  std::vector<std::string> texts;
  bool is_needle = false;  // few rows can match, and the index on the time does not help find them

  void add(std::string_view term) { sql.append(" AND ").append(term); }
};

class OpenFile {
 public:
  // Words of one file. The writer makes no more than there are labels, gaits and listeners.
  static constexpr std::int64_t kMostWords = 10'000;

  // Throws memory::DatabaseError, and std::runtime_error for a schema that is not known.
  explicit OpenFile(const StoreFile& file);

  const std::string& word(std::int64_t id) const;  // empty: there is none
  // By id; an id that has no word is empty.
  const std::vector<std::string>& words() const { return words_; }
  // "weight", or what stands for it in a file that has no such column.
  const char* weight() const { return has_weight_ ? "weight" : "1"; }
  // No row has an address or a queue id any more.
  bool is_truncated();
  // Without the client, which client_condition.h adds.
  Condition condition(const Selection& selection) const;
  // `before`: parameters of `sql` that stand in front of those of the condition. The statement
  // borrows the condition's texts.
  memory::Statement prepare(const std::string& sql, const Condition& condition, int before = 0);

 private:
  void read_words();
  void add_words(const WordKey& key, const Values& values, Condition& condition) const;

  const std::string path_;
  memory::Database database_;
  bool has_weight_ = false;
  std::vector<std::string> words_;
};

}  // namespace history
