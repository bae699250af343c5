// What a process is given when it begins, by the supervisor or by the command that runs it alone.
#pragma once

#include <string>

#include "milter/config/config.h"
#include "milter/process/seccomp.h"

namespace process {

// Both references outlive the process's run().
struct Start {
  const config::Config& config;
  const std::string& config_file;  // for a reload, and in messages
  Part part;                       // what it may call once it serves: for confine()
  int control_fd = -1;             // its end of the control line (control.h); -1: it runs alone
};

}  // namespace process
