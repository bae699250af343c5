// What a process receives at its start, from the supervisor or from the command that runs it alone.
#pragma once

#include <string>

#include "milter/config/config.h"
#include "milter/process/seccomp.h"

namespace process {

// Both references must outlive the process's run().
struct Start {
  const config::Config& config;
  const std::string& config_file;  // used for a reload, and in messages
  Part part;                       // selects the system calls that confine() allows
  // This process's end of the control line (control.h); -1: it runs alone.
  int control_fd = -1;
};

}  // namespace process
