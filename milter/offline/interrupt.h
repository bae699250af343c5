// Handles SIGINT and SIGTERM during reading: the input ends, and the results up to then are
// printed. A second signal ends the program at once. A signal that was already ignored when the
// program started (nohup, a background job) stays ignored.
#pragma once

#include <csignal>
#include <vector>

#include "milter/net/fd.h"

namespace offline {

// A process may have only one at a time. While it lives, SIGPIPE is ignored: if the reader of the
// results goes away, a write fails instead. Throws std::system_error.
class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  // Becomes readable when the end is requested.
  int fd() const { return event_.get(); }
  bool requested() const;
  // Requests the end, as a signal does. Any thread.
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
