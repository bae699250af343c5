// Finds the newest rows of one day file that are selected, or the oldest ones. Only the groups of
// rows are read that may have one, the newest first, until no group that is left can have a newer
// one. Internal to history. One thread.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "milter/history/client_condition.h"
#include "milter/history/row.h"
#include "milter/history/selection.h"
#include "milter/history/store_file.h"
#include "milter/memory/packed_trace.h"

namespace history {

struct Search {
  const Selection& selection;
  const ClientCondition& client;
  std::optional<Cursor> before;  // the newest rows that are older
  std::optional<Cursor> after;   // the oldest rows that are newer
  std::size_t rows;              // not more
  memory::TracePacker* packer;   // null: without the trace
};

// In no order. `source`: as in Cursor. Throws memory::DatabaseError.
void find_rows(OpenFile& file, int source, const Search& search, std::vector<Row>& rows);

}  // namespace history
