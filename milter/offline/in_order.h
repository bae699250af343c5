// Reads several files at the same time and delivers their results in the order of the files, as if
// the files had been read one after the other.
//
//     reading threads, one per file ─► bounded queues, one per file ─► caller's thread, in order
//
// All connections of one file are read by one thread, not by several: a third of the time is the
// kernel's copy of the file (measured on 200 MB of mail), and passing packets to another thread
// would copy them again.
//
// Memory is bounded for all inputs: a reader whose file is not yet delivered waits when its queue
// is full, and readers begin only a limited number of files ahead.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "milter/offline/offline.h"

namespace offline {

struct InOrder {
  // Reads one file. With more than one job it is called from reading threads.
  std::function<Outcome(const std::string& file, const OnResult&)> read;
  // Called from the caller's thread: on_result with each result, and on_outcome after the last
  // result of a file.
  OnResult on_result;
  std::function<void(const std::string& file, const Outcome&)> on_outcome;
  // Called from the caller's thread before it waits for a reader; not called with one job.
  std::function<void()> before_wait;
};

// Reads at most `jobs` files at the same time; with one job no thread is started. Returns when all
// files are read. An exception of a step ends the reading; it is rethrown to the caller after the
// results that come before it.
void read_in_order(const std::vector<std::string>& files, unsigned jobs, const InOrder& steps);

}  // namespace offline
