// Reads the truth about recordings, for `segmilter evaluate`. It is a table (tab-separated, with
// one header line) that has a row for each message: which program sent it, over which link, and
// which answers are right.
//
//     file  message  sender  class  link  kind  tls  bdat  segments  bytes  writer  path  pattern
//     block
//
// `writer`, `path`, `pattern`: the accepted names, separated by `|`, or `*` if too many answers are
// acceptable for a useful comparison. `block`: the size of the program's writes, empty if it does
// not write blocks.
//
// The reader is strict: each column above has to be there once, each row has to be complete, each
// name has to be known, and no message may occur twice. Columns with other names are allowed and
// ignored, so that a table may contain notes. A misspelt column is detected anyway, because the
// right one is then missing.
#pragma once

#include <cstdint>
#include <istream>
#include <stdexcept>
#include <string>
#include <vector>

#include "classifier/pattern.h"

namespace offline {

struct TruthRow {
  std::string file;           // a path below the folder of the recordings, never outside of it
  std::uint32_t message = 1;  // its number in the file, from 1; in a .trace file, its line
  std::string sender;
  std::string sender_class;  // "official-mta", "library", …: the table's own words
  std::string link;
  std::string kind;
  bool tls = false;
  bool bdat = false;
  std::uint32_t segments = 0;
  std::uint64_t bytes = 0;
  std::vector<classifier::Writer> writers;  // accepted answers; empty ("*"): not compared
  std::vector<classifier::PathShape> paths;
  std::vector<classifier::Pattern> patterns;
  std::uint32_t block = 0;  // 0: the program writes no blocks
  bool operator==(const TruthRow&) const = default;
};

// what() is "FILE:LINE: COLUMN: REASON", or "FILE:LINE: REASON" if the whole line is wrong.
class TruthError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Returns the rows in the order of the table. `name` is used only in messages. Throws TruthError.
std::vector<TruthRow> read_truth(std::istream& in, const std::string& name);

}  // namespace offline
