// What one program hands to the next that takes its place in the same process (upgrade.cc): the
// descriptors that were made with rights which nobody has any more, and the children that are still
// draining. It passes exec as a line of text in the environment.
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
  // Of each worker: its listening sockets, in the order of proxy.listen, of which some may be left
  // out.
  std::vector<std::vector<int>> listeners;
  std::vector<int> rings;  // of each worker's kernel filter; empty: fallback capture
  std::vector<int> desk;   // listening sockets, in the order of desk.listen
  std::vector<pid_t> children;
  // The sources of transparent sockets of each worker; empty if upstream_protocol needs none.
  std::vector<std::vector<int>> sources;
  bool operator==(const Handover&) const = default;
};

// "2 listeners=7,8/9,10 rings=11,12 desk=13 children=4711,4712 sources=14/15", or without sources.
// The first number changes when what
// the kernel filter writes into its ring does (capture::kSegmentEventVersion).
std::string print(const Handover& handover);

// Nothing: not such a line, or of another version. It comes from the environment, which whoever
// starts the program may set; so descriptors have yet to be looked at.
std::optional<Handover> parse_handover(std::string_view text);

// Puts it where take_handover() of the next program finds it, and lets the descriptors pass exec.
// Throws std::system_error.
void leave_handover(const Handover& handover);

// Undoes leave_handover(), where there is no next program after all.
void take_back_handover(const Handover& handover);

// What the program before left, if any; taken away, so that no child inherits it.
std::optional<Handover> take_handover();

// The listening sockets `fds`, which have to be those of `addresses`, in their order, one each or
// none (server_socket.h: is_family_missing). `key`: the setting with these addresses. Throws
// SetupError (EX_UNAVAILABLE).
std::vector<net::Fd> adopt_listeners(const std::vector<int>& fds,
                                     const std::vector<net::Endpoint>& addresses,
                                     std::string_view key);

}  // namespace supervisor
