// The truth about recordings, for `segmilter evaluate`: a table (tab-separated, one header line)
// with a row a message, of which program sent it over which link and which answers are right.
//
//     file  message  sender  class  link  kind  tls  bdat  segments  bytes  writer  path  pattern
//     block
//
// `writer`, `path`, `pattern`: the accepted names with `|` between, or `*` where the evidence or
// the definition allows too many to count. `block`: the program's write size, empty where it does
// not write blocks.
//
// Strict in what is known: every column above once, every row complete, every name known, no
// message twice. Columns of other names are allowed and not looked at (notes, where a trace came
// from), so that a table may say more than this program reads; a misspelt column is found all the
// same, because the right one is then missing.
#pragma once

#include <cstdint>
#include <istream>
#include <stdexcept>
#include <string>
#include <vector>

#include "classifier/pattern.h"

namespace offline {

struct TruthRow {
  std::string file;           // below the folder of the recordings; never outside of it
  std::uint32_t message = 1;  // 1-based, in the file; of a .trace file: the line
  std::string sender;
  std::string sender_class;  // "official-mta", "library", …: the table's own words
  std::string link;
  std::string kind;
  bool tls = false;
  bool bdat = false;
  std::uint32_t segments = 0;
  std::uint64_t bytes = 0;
  std::vector<classifier::Writer> writers;  // accepted answers; empty: left out
  std::vector<classifier::PathShape> paths;
  std::vector<classifier::Pattern> patterns;
  std::uint32_t block = 0;  // 0: writes no blocks
  bool operator==(const TruthRow&) const = default;
};

// what() is "FILE:LINE: COLUMN: REASON"; the column is left out where the line as a whole is wrong.
class TruthError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// In the order of the table. `name` is used in messages only. Throws TruthError.
std::vector<TruthRow> read_truth(std::istream& in, const std::string& name);

}  // namespace offline
