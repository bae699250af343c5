#include "milter/history/store_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "milter/memory/bloom_filter.h"
#include "milter/memory/day_file.h"
#include "milter/memory/row_groups.h"

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

// The columns of select_groups().
enum Column { kId, kOldest, kNewest, kIsWanted, kNetworks, kExact };

// The filters are large: they are read where they are asked for only.
std::string select_groups(const Condition& condition) {
  const auto filter = [&condition](Filed::In in, const char* column) {
    for (const auto& one_of : condition.group_has) {
      for (const auto& filed : one_of) {
        if (filed.in == in)
          return fmt::format("CASE WHEN {} THEN {} END", condition.group_sql, column);
      }
    }
    return std::string("NULL");
  };
  return fmt::format("SELECT id, oldest, newest, {}, {}, {} FROM row_groups ORDER BY id",
                     condition.group_sql, filter(Filed::In::Networks, "networks"),
                     filter(Filed::In::Exact, "exact"));
}

bool may_have(const memory::Statement& group, const Condition& condition) {
  const auto has = [&group](const Filed& filed) {
    const auto column = filed.in == Filed::In::Networks ? kNetworks : kExact;
    return memory::BloomFilter::may_have(group.text(column), filed.text);
  };
  return std::all_of(
      condition.group_has.begin(), condition.group_has.end(),
      [&has](const auto& one_of) { return std::any_of(one_of.begin(), one_of.end(), has); });
}

}  // namespace

OpenFile::OpenFile(const StoreFile& file)
    : path_(file.path), database_(file.path, Database::Mode::Read) {
  const auto schema = schema_of(database_);
  if (schema != memory::DayFile::kSchema) {
    throw std::runtime_error(fmt::format("{}: has schema {}, and this program reads schema {}",
                                         file.path, schema, memory::DayFile::kSchema));
  }
  check_key();
  has_weight_ = has_column(database_, "weight");
  has_groups_ = memory::RowGroups::are_in(database_);
  read_words();
}

// A search asks for very many rows by their ids: without the key, each time all rows would be read.
void OpenFile::check_key() {
  auto key = database_.prepare(
      "SELECT count(*) = 1 AND min(name = 'id' AND type = 'INTEGER') AND NOT EXISTS (SELECT 1 FROM "
      "pragma_index_list('messages') WHERE origin = 'pk') FROM pragma_table_info('messages') WHERE "
      "pk > 0");
  if (key.step() && key.integer(0) != 0) return;
  throw DatabaseError(Trouble::Corrupt,
                      fmt::format("{}: has no table of messages with the key id", path_));
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
  condition.add_to_group(
      fmt::format("id IN (SELECT row_group FROM group_words WHERE name = '{}' AND word {}IN ({}))",
                  key.column, values.excluded ? "NOT " : "", ids));
}

Condition OpenFile::condition(const Selection& selection) const {
  Condition condition;
  const auto add = [&condition](const char* column, const char* of_group, std::string_view limit) {
    condition.add(fmt::format("{} {}", column, limit));
    condition.add_to_group(fmt::format("{} {}", of_group, limit));
  };
  if (selection.from) add("time", "newest", fmt::format(">= {}", ms(*selection.from)));
  if (selection.to) add("time", "oldest", fmt::format("< {}", ms(*selection.to)));
  if (selection.min_score) add("score", "highest", fmt::format(">= {}", *selection.min_score));
  if (selection.max_score) add("score", "lowest", fmt::format("<= {}", *selection.max_score));
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
  if (ids.excluded) return condition;
  auto& one_of = condition.group_has.emplace_back();
  for (const auto& id : ids.any) one_of.push_back({Filed::In::Exact, id});
  return condition;
}

std::vector<RowRange> OpenFile::ranges(const Condition& condition) {
  using Limits = std::numeric_limits<std::int64_t>;
  std::vector<RowRange> found;
  std::int64_t next = Limits::min();  // of the rows that no group has
  const auto add_rest = [&found, &next](std::int64_t last) {
    if (next <= last) found.push_back({next, last, Limits::min(), Limits::max()});
  };
  if (has_groups_) {
    auto groups = database_.prepare(select_groups(condition));
    while (groups.step()) {
      const auto group = groups.integer(kId);
      const auto first = memory::first_row(group);
      // A table of another program may have a group twice, and groups that no row can be in.
      if (memory::group_of(first) != group || first < next) continue;
      if (found.size() > 2 * kMostGroups) {
        throw DatabaseError(Trouble::Corrupt,
                            fmt::format("{}: has more than {} groups of rows", path_, kMostGroups));
      }
      const auto last = memory::last_row(group);
      if (first > Limits::min()) add_rest(first - 1);
      if (groups.integer(kIsWanted) != 0 && may_have(groups, condition)) {
        found.push_back({first, last, groups.integer(kOldest), groups.integer(kNewest)});
      }
      if (last == Limits::max()) return found;
      next = last + 1;
    }
  }
  add_rest(Limits::max());
  return found;
}

memory::Statement OpenFile::prepare(const std::string& sql, const Condition& condition,
                                    int before) {
  auto statement = database_.prepare(sql);
  for (const auto& text : condition.texts) statement.bind(++before, std::string_view(text));
  return statement;
}

}  // namespace history
