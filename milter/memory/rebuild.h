// Reads the day files once more for the table of reputations: what each row would have taught. It
// works in steps, the oldest day first, until it has read all rows, those too that were written while
// it was at work: so messages are learnt in the order in which they came, and the limits of a day are
// the limits of that day. Rows that have lost their address teach their network only. A file that
// cannot be read, is of another schema, or is of a day in the future (is_ahead), is left out; the
// log says which. One thread.
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
  std::string gait;     // empty: not known
  reputation::Lesson lesson;
};

class Rebuild {
 public:
  explicit Rebuild(std::string folder) : folder_(std::move(folder)) {}

  // Gives at most `rows` rows to `take`. False: that was all, also of what was written until now.
  // Throws std::system_error if the folder cannot be read.
  bool step(unsigned rows, Day today, const std::function<void(const PastMessage&)>& take);

 private:
  bool find_files(Day today);
  bool open_next(Day today);

  const std::string folder_;
  Day found_;  // the last day whose files were found
  std::deque<std::string> files_;
  std::unique_ptr<Database> database_;  // of the first file; null: not opened yet
  std::int64_t after_ = 0;              // id of the last row that was read of it
};

}  // namespace memory
