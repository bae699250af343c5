// Reads several files at a time and gives what comes of them in the order of the files, as if one
// had been read behind the other.
//
//     reading threads, a file each ─► bounded queues, one a file ─► the caller's thread, in order
//
// The connections of one file stay in one thread: a third of the time is the kernel's copy of the
// file (measured on 200 MB of mail), and giving packets to another thread would copy them again.
//
// A reader that is ahead of the file whose turn it is waits when its queue is full, and begins no
// file too far ahead, so that memory is bounded whatever the files hold.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "milter/offline/offline.h"

namespace offline {

struct InOrder {
  // Reads one file. With more than one job it is called from threads of its own.
  std::function<Outcome(const std::string& file, const OnResult&)> read;
  // Called from the caller's thread: each result, and behind those of a file how it went.
  OnResult on_result;
  std::function<void(const std::string& file, const Outcome&)> on_outcome;
  // Called from the caller's thread before it waits for a reader; not with one job.
  std::function<void()> before_wait;
};

// At most `jobs` files are read at a time; with 1 there is no thread. Returns when all are read.
// What a step throws ends it, and is thrown to the caller when its turn comes.
void read_in_order(const std::vector<std::string>& files, unsigned jobs, const InOrder& steps);

}  // namespace offline
