// What one program hands to the next one, which takes its place in the same process (upgrade.cc).
// These are the listening sockets and rings, which only a privileged process can make, and the
// children that still drain. It passes exec as one line of text in the environment.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace supervisor {

struct Handover {
  // For each worker: its listening sockets, in the order of proxy.listen. Some addresses may have
  // no socket.
  std::vector<std::vector<int>> listeners;
  std::vector<int> rings;  // one for each worker's kernel filter; empty: fallback capture
  std::vector<int> desk;   // listening sockets, in the order of desk.listen
  std::vector<pid_t> children;
  // The sources of transparent sockets of each worker; empty if upstream_protocol needs none.
  std::vector<std::vector<int>> sources;
  int reputations = -1;  // the table of reputations; -1: there is none
  bool operator==(const Handover&) const = default;
};

// "2 listeners=7,8/9,10 rings=11,12 desk=13 children=4711,4712 sources=14/15
// reputations=16"; the last two items are there only if there is such a thing. The first number is
// capture::kSegmentEventVersion: it changes when the layout of what the kernel filter writes into
// its ring changes.
std::string print(const Handover& handover);

// Nothing: the text is not such a line, or is of another version. The text comes from the
// environment, so any user who starts the program can set it. The caller must still check the
// descriptors.
std::optional<Handover> parse_handover(std::string_view text);

// Puts it where take_handover() of the next program finds it, and lets the descriptors pass exec.
// Throws std::system_error.
void leave_handover(const Handover& handover);

// Undoes leave_handover(), if there is no next program after all.
void take_back_handover(const Handover& handover);

// What the previous program left, if anything. It is removed from the environment, so that no child
// inherits it.
std::optional<Handover> take_handover();

// Takes over the listening sockets `fds`. They must be bound to `addresses`, in the same order; an
// address may have no socket (server_socket.h: is_family_missing). `key`: the setting with these
// addresses. Throws SetupError (EX_UNAVAILABLE).
std::vector<net::Fd> adopt_listeners(const std::vector<int>& fds,
                                     const std::vector<net::Endpoint>& addresses,
                                     std::string_view key);

}  // namespace supervisor
