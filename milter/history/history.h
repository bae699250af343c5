// The reader's half of memory: which messages were judged, and how many. It opens the day files of
// the store one after the other, read-only, beside the memory process that writes them. One thread
// for each object.
//
//     Selection ─► History ─┬─► page()    rows, newest first
//                           └─► count()   how many, by time, label and network (counts.h)
//
// It is not an error if a file is removed meanwhile. A file that cannot be read is skipped, and
// `problems` in the answer names it.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "milter/config/config.h"
#include "milter/history/counts.h"
#include "milter/history/row.h"
#include "milter/history/selection.h"
#include "milter/memory/packed_trace.h"

namespace history {

struct StoreFile;

// The store as a whole cannot be read. what() is one line with the folder, why, and what to do.
class Unavailable : public std::runtime_error {
 public:
  enum class Why {
    Missing,    // there is no folder, or nothing was remembered yet
    Forbidden,  // this user may not read it
    Other,
  };
  Unavailable(Why why, const std::string& what) : std::runtime_error(what), why_(why) {}
  Why why() const { return why_; }

 private:
  Why why_;
};

struct PageRequest {
  static constexpr std::size_t kMostRows = 10'000;

  std::size_t rows = 50;  // at most kMostRows are given
  std::optional<Cursor> before;
  // The oldest rows that are newer than this. Requires: `before` is not set.
  std::optional<Cursor> after;
  bool traces = false;
};

struct Page {
  std::vector<Row> rows;         // newest first
  std::optional<Cursor> before;  // of the next page; nothing: this is the last one
  std::optional<Cursor> after;   // of the page with newer rows, if `after` was asked for
  std::vector<std::string> problems;
};

class History {
 public:
  // Throws std::bad_alloc.
  explicit History(config::Memory settings) : settings_(std::move(settings)) {}

  // Both throw Unavailable; std::invalid_argument where the selection's network cannot be found in
  // keyed addresses; std::runtime_error for a key file that cannot be read.
  Page page(const Selection& selection, const PageRequest& request);
  Counts count(const Selection& selection, const CountRequest& request = {});

 private:
  std::vector<StoreFile> files(const Selection& selection,
                               std::vector<std::string>& problems) const;

  const config::Memory settings_;
  memory::TracePacker packer_;
};

}  // namespace history
