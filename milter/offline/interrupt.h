// SIGINT and SIGTERM while something is read: the input ends there, and what was read is printed.
// A second one ends the program at once. A signal that the program was started with as ignored
// (nohup, a job in the background) stays so.
#pragma once

#include <csignal>
#include <vector>

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
  struct Handled {
    int signal;
    struct sigaction before;
  };
  void handle(int signal, void (*handler)(int));

  net::Fd event_;
  std::vector<Handled> handled_;
};

}  // namespace offline
