// Reads the day files once more for the table of reputations: what each row would have taught. It
// works in steps, the oldest day first, and stops at the rows that are newer than its own start.
// Rows that have lost their address teach their network only. A file that cannot be read, or is of
// another schema, is left out, with a line in the log. One thread.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "milter/memory/database.h"
#include "milter/memory/day.h"
#include "milter/reputation/learner.h"

namespace memory {

// The parts of a row from which something is learnt.
struct PastMessage {
  Time time;
  std::string address;  // as it stands in the store (address_form.h); empty: taken away
  std::string network;  // likewise
  std::string gait;
  reputation::Lesson lesson;
};

class Rebuild {
 public:
  // Throws std::system_error if the folder cannot be read.
  Rebuild(std::string folder, Time start);

  // Gives at most `rows` rows to `take`. False: that was all.
  bool step(unsigned rows, const std::function<void(const PastMessage&)>& take);

 private:
  bool open_next();

  const std::string folder_;
  const Time start_;
  std::deque<std::string> files_;
  std::unique_ptr<Database> database_;  // of the first file; null: not opened yet
  std::int64_t after_ = 0;              // id of the last row that was read of it
};

}  // namespace memory
