// What is known of each 1024 rows of a day file, so that a search reads only the groups of rows that
// may have what it looks for. Parquet's row groups and PostgreSQL's BRIN indexes do the same. An
// index on the address or the queue id itself would make writing eighteen times slower.
//
//     row_groups   id                         the rows of which id >> 10 is this
//                  oldest, newest             of their times
//                  lowest, highest            of their scores
//                  networks, exact            Bloom filters: of the networks, each with the wider one
//                                             that it is in; of the addresses and the queue ids.
//                                             NULL: nothing is known
//     group_words  name, word, row_group      the words that the rows of the group have in the column
//                                             of this name; 0 stands for NULL
//
// A group is added when all of its rows are written, in the transaction of the last one. What is not
// in the table is read by every search: the youngest rows, and files of programs that did not know
// of groups. A group may say that it has what it does not have (any more), and never the other way
// round. One thread.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "milter/memory/database.h"
#include "milter/net/address.h"

namespace memory {

// The ids of the rows of a group.
inline std::int64_t group_of(std::int64_t row) {
  return row >> 10;
}
inline std::int64_t first_row(std::int64_t group) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(group) << 10);
}
inline std::int64_t last_row(std::int64_t group) {
  return first_row(group) | 1023;
}

class RowGroups {
 public:
  // Of a file that has `messages`. Borrows `database`. With make() first, if the tables may be
  // missing. All functions throw DatabaseError.
  explicit RowGroups(Database& database);

  static void make(Database& database);
  static bool are_in(Database& database);

  // In the caller's transaction, like the functions below. Adds a few of the groups that are whole
  // and not in the table: as a rule the last one, and more if an older version, which did not know
  // of groups, has begun the day.
  void add_whole();

  // Rows of these groups were deleted: what only they had is not known any more.
  void renew(const std::set<std::int64_t>& groups);

  // No row up to and including `row` has an address or a queue id any more.
  void drop_exact(std::int64_t row);

 private:
  // The group to which the next row is added: that of the last row, or the one after it.
  std::int64_t first_open();
  bool add(std::int64_t group);

  Statement last_group_, next_row_, last_row_, rows_, add_group_, add_word_, has_group_,
      remove_group_, remove_open_, drop_exact_;
};

// The texts in the filter of networks, one of which each group has that has a row of a client in
// `who`. Empty: there would be too many, or it has none.
std::vector<std::string> filed_networks(const net::Network& who);

}  // namespace memory
