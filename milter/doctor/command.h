// Runs a program and keeps what it prints: for postconf and journalctl.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace doctor {

struct CommandResult {
  int status = -1;     // exit status; -1: not started, killed or out of time
  std::string output;  // at most kMaxOutput bytes of standard output
  std::string error;   // why status is not 0: its first line on standard error, or ours
};

inline constexpr int kNotFound = 127;  // a status, as a shell says it: there is no such program
inline constexpr std::size_t kMaxOutput = 1024 * 1024;

// argv[0] is looked for in PATH and then in /usr/sbin, /usr/local/sbin and /sbin, which a user's
// PATH may lack. Killed at the limit.
CommandResult run_command(const std::vector<std::string>& argv, std::chrono::seconds limit);

}  // namespace doctor
