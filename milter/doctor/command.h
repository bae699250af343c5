// Runs a program (postconf, journalctl, nft, systemctl) and keeps what it prints.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace doctor {

struct CommandResult {
  int status = -1;     // exit status; -1: not started, killed, or it took too long
  std::string output;  // at most kMaxOutput bytes of standard output
  std::string error;   // why status is not 0: the program's first line on standard error, or if it
                       // printed none, a message of run_command
};

inline constexpr int kNotFound = 127;  // the status when there is no such program, as in a shell
// `postconf -x` prints about 36 KB (Postfix 3.7), so 1 MB is ample. Output beyond it is dropped.
inline constexpr std::size_t kMaxOutput = 1024 * 1024;

// argv[0] is searched in PATH, then in /usr/sbin, /usr/local/sbin and /sbin, which a user's PATH
// may lack. A program that still runs after `limit` is killed. Throws if no process can be started.
CommandResult run_command(const std::vector<std::string>& argv, std::chrono::seconds limit);

}  // namespace doctor
