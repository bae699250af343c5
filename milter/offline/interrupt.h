// SIGINT and SIGTERM while something is read: the input ends there, and what was read is printed.
// A second one ends the program at once, as if nobody had asked for them.
#pragma once

#include "milter/net/fd.h"

namespace offline {

// One at a time in a process. SIGPIPE is ignored while it lives: a reader that goes away is seen
// by the write that fails. Throws std::system_error.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Readable once it was asked for.
  int fd() const { return event_.get(); }
  bool requested() const;
  // As a signal would. Any thread.
  void request();

 private:
  net::Fd event_;
};

}  // namespace offline
