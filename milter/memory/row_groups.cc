#include "milter/memory/row_groups.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "milter/memory/address_form.h"
#include "milter/memory/bloom_filter.h"
#include "milter/memory/word_columns.h"

namespace memory {
namespace {

// A few milliseconds of work, while sightings wait in the socket.
constexpr int kMostAtOnce = 8;

// A search for a network wider than this reads every group.
constexpr int kMostNetworks = 128;

constexpr const char* kTables = R"(
CREATE TABLE IF NOT EXISTS row_groups (id INTEGER PRIMARY KEY, oldest INTEGER, newest INTEGER,
                                       lowest REAL, highest REAL, networks BLOB, exact BLOB);
CREATE TABLE IF NOT EXISTS group_words (name TEXT, word INTEGER, row_group INTEGER,
                                        PRIMARY KEY (name, word, row_group)) WITHOUT ROWID;
)";

// Not of those that no row can be in, which only another program can have written: 2^53 and more.
constexpr const char* kLastGroup = "SELECT max(id) FROM row_groups WHERE id < 9007199254740992";

// The columns of select_rows(), in front of the words.
enum Column { kTime, kScore, kQueueId, kAddress, kNetwork, kWords };

std::string select_rows() {
  std::string sql = "SELECT time, score, queue_id, address, network";
  for (const auto* column : kWordColumns) sql += fmt::format(", ifnull({}, 0)", column);
  return sql + " FROM messages NOT INDEXED WHERE id >= ? AND id <= ?";
}

// Bits of the 16-byte form. Rows have the first, and the filter has the second too.
struct Levels {
  int row;
  int wide;
};
Levels levels(bool is_v4) {
  return is_v4 ? Levels{96 + 24, 96 + 16} : Levels{48, 32};
}

// Requires: the bits are of levels().
std::string print_wide(const net::Endpoint& client) {
  auto bytes = client.bytes();
  const int bits = levels(client.is_v4()).wide;
  std::fill(bytes.begin() + bits / 8, bytes.end(), std::uint8_t{0});
  return fmt::format("{}/{}", net::Endpoint::from_bytes(bytes, 0).print_address(),
                     client.is_v4() ? bits - 96 : bits);
}

// A keyed form is in no network.
void add_network(BloomFilter& networks, std::string_view text) {
  networks.add(text);
  const auto slash = text.find('/');
  if (slash == text.npos) return;
  if (const auto first = net::Endpoint::parse_address(text.substr(0, slash), 0)) {
    networks.add(print_wide(*first));
  }
}

// Of the rows of a group.
struct Summary {
  std::int64_t oldest = std::numeric_limits<std::int64_t>::max();
  std::int64_t newest = std::numeric_limits<std::int64_t>::min();
  double lowest = std::numeric_limits<double>::infinity();
  double highest = -std::numeric_limits<double>::infinity();
  BloomFilter networks, exact;
  std::set<std::pair<int, std::int64_t>> words;  // which of kWordColumns, and the word's number

  bool is_empty() const { return oldest > newest; }

  void add(const Statement& row) {
    oldest = std::min(oldest, row.integer(kTime));
    newest = std::max(newest, row.integer(kTime));
    lowest = std::min(lowest, row.real(kScore));
    highest = std::max(highest, row.real(kScore));
    for (const auto column : {kQueueId, kAddress}) {
      if (!row.is_null(column)) exact.add(row.text(column));
    }
    if (!row.is_null(kNetwork)) add_network(networks, row.text(kNetwork));
    for (int i = 0; i < std::ssize(kWordColumns); ++i) words.insert({i, row.integer(kWords + i)});
  }
};

}  // namespace

void RowGroups::make(Database& database) {
  database.execute(kTables);
}

bool RowGroups::are_in(Database& database) {
  auto tables = database.prepare(
      "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('row_groups', "
      "'group_words')");
  return tables.step() && tables.integer(0) == 2;
}

RowGroups::RowGroups(Database& database)
    : last_group_(database.prepare(kLastGroup)),
      next_row_(database.prepare("SELECT min(id) FROM messages WHERE id > ?")),
      last_row_(database.prepare("SELECT max(id) FROM messages")),
      rows_(database.prepare(select_rows())),
      add_group_(
          database.prepare("INSERT OR REPLACE INTO row_groups VALUES (?, ?, ?, ?, ?, ?, ?)")),
      add_word_(database.prepare("INSERT OR IGNORE INTO group_words VALUES (?, ?, ?)")),
      has_group_(database.prepare("SELECT 1 FROM row_groups WHERE id = ?")),
      remove_group_(database.prepare("DELETE FROM row_groups WHERE id = ?")),
      remove_open_(database.prepare("DELETE FROM row_groups WHERE id >= ?")),
      drop_exact_(database.prepare(
          "UPDATE row_groups SET exact = NULL WHERE id <= ? AND exact IS NOT NULL")) {}

std::int64_t RowGroups::first_open() {
  auto open = std::numeric_limits<std::int64_t>::min();
  if (last_row_.step() && !last_row_.is_null(0)) {
    const auto row = last_row_.integer(0);
    open = group_of(row) + (row == last_row(group_of(row)) ? 1 : 0);
  }
  last_row_.reset();
  return open;
}

// False: it has no row.
bool RowGroups::add(std::int64_t group) {
  Summary all;
  rows_.bind(1, first_row(group));
  rows_.bind(2, last_row(group));
  while (rows_.step()) all.add(rows_);
  rows_.reset();
  if (all.is_empty()) return false;
  add_group_.bind(1, group);
  add_group_.bind(2, all.oldest);
  add_group_.bind(3, all.newest);
  add_group_.bind(4, all.lowest);
  add_group_.bind(5, all.highest);
  add_group_.bind_blob(6, all.networks.bytes());
  add_group_.bind_blob(7, all.exact.bytes());
  add_group_.run();
  for (const auto& [column, word] : all.words) {
    add_word_.bind(1, std::string_view(kWordColumns[column]));
    add_word_.bind(2, word);
    add_word_.bind(3, group);
    add_word_.run();
  }
  return true;
}

void RowGroups::add_whole() {
  for (int i = 0; i < kMostAtOnce; ++i) {
    auto after = std::numeric_limits<std::int64_t>::min();
    if (last_group_.step() && !last_group_.is_null(0)) after = last_row(last_group_.integer(0));
    last_group_.reset();
    next_row_.bind(1, after);
    const bool has_next = next_row_.step() && !next_row_.is_null(0);
    const auto group = has_next ? group_of(next_row_.integer(0)) : 0;
    next_row_.reset();
    if (!has_next || group >= first_open() || !add(group)) return;
  }
}

// The next rows get ids of the open groups. One of those may have been whole, and then it need not
// be among `groups`: it may have lost its last row earlier, while there were rows behind it.
void RowGroups::renew(const std::set<std::int64_t>& groups) {
  remove_open_.bind(1, first_open());
  remove_open_.run();
  for (const auto group : groups) {
    has_group_.bind(1, group);
    const bool is_there = has_group_.step();
    has_group_.reset();
    if (!is_there || add(group)) continue;
    remove_group_.bind(1, group);
    remove_group_.run();
  }
}

void RowGroups::drop_exact(std::int64_t row) {
  drop_exact_.bind(1, group_of(row));
  drop_exact_.run();
}

std::vector<std::string> filed_networks(const net::Network& who) {
  const auto first = net::Endpoint::from_bytes(who.first(), 0);
  // All of IPv4 is within some networks of the 16-byte form.
  if (!who.is_v4() && who.contains(*net::Endpoint::parse_address("0.0.0.0", 0))) return {};
  const auto [row, wide] = levels(who.is_v4());
  if (who.bits() >= row) return {print_network(first)};
  if (who.bits() >= wide) return {print_wide(first)};
  const int missing = wide - who.bits();
  if (missing >= 31 || 1 << missing > kMostNetworks) return {};
  std::vector<std::string> all;
  auto bytes = who.first();
  // The bits that are missing are within the last two bytes of the wide network.
  const auto at = static_cast<std::size_t>(wide / 8);
  const unsigned begin = bytes[at - 2] << 8 | bytes[at - 1];
  for (unsigned i = 0; i < 1U << missing; ++i) {
    bytes[at - 2] = static_cast<std::uint8_t>((begin + i) >> 8);
    bytes[at - 1] = static_cast<std::uint8_t>(begin + i);
    all.push_back(print_wide(net::Endpoint::from_bytes(bytes, 0)));
  }
  return all;
}

}  // namespace memory
