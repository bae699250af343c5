// The rows of one day, in one SQLite file (write-ahead log, synchronous NORMAL). An administrator
// may read it with sqlite3: the view `sightings` has all columns in words.
//
//     about      key, value              which versions made the file; whether it is truncated
//     words      id, word                names of patterns, gaits, listeners, … of the rows
//     messages   one row a sighting      without an index
//     hours      hour, pattern, gait,    how many messages, counted with the rows themselves
//                action, n
//     row_groups, group_words            what is known of each 1024 rows, in the place of an index
//                                        (row_groups.h)
//
// A row has the versions by which it can be read: of the labels (classifier::kSignature) and of the
// dictionary of its trace. Its weight is the number of messages that it stands for (sampling.h).
//
// A file of another schema is not written and not changed. One thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <unordered_map>

#include "milter/memory/address_form.h"
#include "milter/memory/database.h"
#include "milter/memory/packed_trace.h"
#include "milter/memory/row_groups.h"
#include "milter/memory/sampling.h"
#include "milter/memory/sighting.h"

namespace memory {

class OtherSchema : public std::runtime_error {
 public:
  OtherSchema(const std::string& what, int schema) : std::runtime_error(what), schema_(schema) {}
  int schema() const { return schema_; }

 private:
  int schema_;
};

class DayFile {
 public:
  static constexpr int kSchema = 1;

  // Opens the file, or makes it. Throws DatabaseError and OtherSchema.
  explicit DayFile(const std::string& path);

  // All in one transaction, and the hours with them. Returns how many of them have a row. Throws
  // DatabaseError; then none is written.
  std::size_t write(std::span<const Sighting> sightings, const AddressForm& form,
                    TracePacker& packer, Sampler& sampler);

  // Takes address, port and queue id away from the next `rows` rows; false: from all rows they are
  // gone. The freed bytes are overwritten. Throws DatabaseError.
  bool truncate(unsigned rows);

  // Empties the write-ahead log, if no reader holds it. Throws DatabaseError.
  void checkpoint() { (void)database_.checkpoint(); }

  // Of the file (Database::damage).
  std::string damage(std::chrono::milliseconds most) { return database_.damage(most); }

  // Whether the path still leads to this file, and not to another one or to none.
  bool intact() const;

 private:
  void make();
  std::int64_t word(std::string_view text);
  class Cells;
  void insert(const Sighting& sighting, std::uint32_t weight, const AddressForm& form,
              TracePacker& packer);
  void add_numbers(Cells& cells, const Sighting& sighting, std::string_view terms);
  void add_words(Cells& cells, const Sighting& sighting);
  void count_hour(const Sighting& sighting);
  void set_about(std::string_view key, std::string_view value);

  const std::string path_;
  Database database_;
  std::optional<RowGroups> groups_;  // not before the tables are made
  Statement insert_row_, insert_word_, find_word_, count_hour_;
  // Bounded: all words are of the program itself or of its configuration.
  std::unordered_map<std::string, std::int64_t> words_;
  dev_t device_ = 0;
  ino_t number_ = 0;
};

}  // namespace memory
