// What is counted of sightings on their way and in the store. The filter writes the first three,
// and the memory process the others; any process may read them.
#pragma once

#include "milter/process/metrics.h"

namespace memory {

struct Counters {
  process::Count sent{0};
  // The socket and the filter's queue before it were full: memory is away, stopped or too slow.
  process::Count dropped_full{0};
  process::Count dropped_gone{0};  // the socket has no other end, or failed; or the filter ended

  process::Count waiting{0};  // bytes in the socket, as memory last saw it
  process::Count stored{0};
  process::Count dropped_malformed{0};
  process::Count dropped_disk{0};
  process::Count dropped_limit{0};   // [memory] max_bytes or min_free
  process::Count dropped_sample{0};  // in the hours only (sampling.h)
  process::Count days{0};            // of which there are files
  process::Count bytes{0};           // on the disk
  process::Count oldest{0};          // seconds since 1970; 0: there is no file
  process::Count removed_days{0};
  process::Count corrupt{0};
};

inline process::Families describe(const Counters& counts) {
  using process::family;
  return {
      family("memory_sightings_total", counts.sent,
             "Messages whose record the filter sent to the memory process."),
      family("memory_rows_total", counts.stored, "Messages that were written into the store."),
      family("memory_waiting_bytes", counts.waiting,
             "Bytes of messages that waited in the socket when the memory process last looked."),
      {"memory_dropped_total",
       "Messages that are not in the store, by the reason.",
       "reason",
       {{&counts.dropped_full, "full"},
        {&counts.dropped_gone, "gone"},
        {&counts.dropped_malformed, "malformed"},
        {&counts.dropped_disk, "disk"},
        {&counts.dropped_limit, "limit"},
        {&counts.dropped_sample, "sample"}}},
      family("memory_dates", counts.days, "Days for which the store has files."),
      family("memory_bytes", counts.bytes, "Bytes that these files take on the disk."),
      family("memory_oldest_seconds", counts.oldest,
             "When the oldest of these days began, in seconds since 1970."),
      family("memory_dates_removed_total", counts.removed_days,
             "Days whose files were removed, because of their age or for room."),
      family("memory_files_corrupt_total", counts.corrupt,
             "Files of the store that could not be read and were moved aside."),
  };
}

}  // namespace memory
