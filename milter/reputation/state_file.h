// The table as a file, from which it is filled after a restart of the machine or of the service.
// (When only the memory process has died, or at an upgrade, the table itself is still there.)
//
//     magic 8 | Keys::check() 8 | block… | a block of no entries
//     block: number of entries 8 | entries, 40 bytes each | checksum 8
//
// Numbers are in the order of this machine. The file is written beside the old one and takes its
// place when it is whole.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "milter/net/fd.h"
#include "milter/reputation/table.h"

namespace reputation {

inline constexpr std::string_view kStateFile = "reputation.state";  // in memory.folder

enum class StateFound : std::uint8_t {
  Whole,
  None,       // there is no file
  OtherKeys,  // of another memory.key_file, or of another value of memory.addresses
  Damaged,    // not such a file, cut off, or with a wrong checksum
};

// Pure. Gives all entries to `take`, or none of them.
StateFound parse_state(std::string_view bytes, std::uint64_t key_check,
                       const std::function<void(const Entry&)>& take);

// Fills `table`. Entries from the future count as of now. Throws std::system_error if the file
// cannot be read.
StateFound load_state(const std::string& file, TableWriter& table, std::uint64_t key_check,
                      Time now);

// Writes the table in small steps, between which the table may change.
class StateWriter {
 public:
  // Throws std::system_error, here and in step().
  StateWriter(std::string file, const TableWriter& table, std::uint64_t key_check);
  ~StateWriter();
  StateWriter(const StateWriter&) = delete;
  StateWriter& operator=(const StateWriter&) = delete;

  // Entries that are over are left out. True: the file is whole and in its place.
  bool step(Time now);
  static constexpr std::size_t kSteps = 64;

 private:
  void write(std::string_view bytes);
  void write_block(const std::string& entries);

  const std::string file_;
  const std::string fresh_;  // the path until it is whole; empty: it is in its place
  const TableWriter& table_;
  net::Fd fd_;
  std::size_t next_ = 0;  // bucket
};

}  // namespace reputation
