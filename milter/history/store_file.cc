#include "milter/history/store_file.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "milter/memory/day_file.h"

namespace history {
namespace {

using memory::Database;
using memory::DatabaseError;
using memory::Trouble;

std::int64_t ms(Time time) {
  return time.time_since_epoch().count();
}

std::int64_t schema_of(Database& database) {
  auto version = database.prepare("PRAGMA user_version");
  return version.step() ? version.integer(0) : 0;
}

bool has_column(Database& database, std::string_view name) {
  auto columns = database.prepare("SELECT 1 FROM pragma_table_info('messages') WHERE name = ?");
  columns.bind(1, name);
  return columns.step();
}

}  // namespace

OpenFile::OpenFile(const StoreFile& file)
    : path_(file.path), database_(file.path, Database::Mode::Read) {
  const auto schema = schema_of(database_);
  if (schema != memory::DayFile::kSchema) {
    throw std::runtime_error(fmt::format("{}: has schema {}, and this program reads schema {}",
                                         file.path, schema, memory::DayFile::kSchema));
  }
  has_weight_ = has_column(database_, "weight");
  read_words();
}

void OpenFile::read_words() {
  auto words = database_.prepare("SELECT id, word FROM words");
  while (words.step()) {
    const auto id = words.integer(0);
    if (id < 0 || id > kMostWords) {
      throw DatabaseError(Trouble::Corrupt,
                          fmt::format("{}: has more than {} words", path_, kMostWords));
    }
    const auto index = static_cast<std::size_t>(id);
    if (words_.size() <= index) words_.resize(index + 1);
    words_[index] = words.text(1);
  }
}

const std::string& OpenFile::word(std::int64_t id) const {
  static const std::string kNone;
  return id < 0 || id >= std::ssize(words_) ? kNone : words_[static_cast<std::size_t>(id)];
}

bool OpenFile::is_truncated() {
  auto truncated = database_.prepare(
      "SELECT value >= (SELECT max(id) FROM messages) FROM about WHERE key = 'truncated_to'");
  return truncated.step() && truncated.integer(0) != 0;
}

// A word that no row of the file has, has no number in the file.
void OpenFile::add_words(const WordKey& key, const Values& values, Condition& condition) const {
  if (values.empty()) return;
  std::string ids;
  for (std::size_t id = 0; id < words_.size(); ++id) {
    const auto& any = values.any;
    if (std::find(any.begin(), any.end(), words_[id]) == any.end()) continue;
    ids += fmt::format("{}{}", ids.empty() ? "" : ",", id);
  }
  condition.add(values.excluded ? fmt::format("({0} IS NULL OR {0} NOT IN ({1}))", key.column, ids)
                                : fmt::format("{} IN ({})", key.column, ids));
}

Condition OpenFile::condition(const Selection& selection) const {
  Condition condition{.sql = "1"};
  if (selection.from) condition.add(fmt::format("time >= {}", ms(*selection.from)));
  if (selection.to) condition.add(fmt::format("time < {}", ms(*selection.to)));
  if (selection.min_score) condition.add(fmt::format("score >= {}", *selection.min_score));
  if (selection.max_score) condition.add(fmt::format("score <= {}", *selection.max_score));
  for (const auto& key : word_keys()) {
    if (key.values != &Selection::queue_id) add_words(key, selection.*key.values, condition);
  }
  const auto& ids = selection.queue_id;
  if (ids.empty()) return condition;
  std::string marks;
  for (const auto& id : ids.any) {
    marks += marks.empty() ? "?" : ",?";
    condition.texts.push_back(id);
  }
  condition.add(ids.excluded ? fmt::format("(queue_id IS NULL OR queue_id NOT IN ({}))", marks)
                             : fmt::format("queue_id IN ({})", marks));
  condition.is_needle = !ids.excluded;
  return condition;
}

memory::Statement OpenFile::prepare(const std::string& sql, const Condition& condition,
                                    int before) {
  auto statement = database_.prepare(sql);
  for (const auto& text : condition.texts) statement.bind(++before, std::string_view(text));
  return statement;
}

}  // namespace history
