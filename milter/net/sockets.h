// Finds which process listens on which socket of this machine, from /proc. Only root can see the
// processes of other users.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "milter/net/address.h"

namespace net {

struct TcpSocket {
  Endpoint local;
  unsigned state = 0;  // as in <netinet/tcp.h>: 1 established, 10 listening
  std::uint64_t inode = 0;
  bool operator==(const TcpSocket&) const = default;
};

struct UnixSocket {
  unsigned state = 0;  // 1 unconnected, 3 connected
  bool listening = false;
  std::uint64_t inode = 0;
  std::string path;
  bool operator==(const UnixSocket&) const = default;
};

// Parses /proc/net/tcp (`v6`: /proc/net/tcp6) and /proc/net/unix. Lines that do not parse are
// skipped.
std::vector<TcpSocket> parse_tcp(std::string_view text, bool v6);
std::vector<UnixSocket> parse_unix(std::string_view text);

// The sockets of this process's network namespace at this moment.
std::vector<TcpSocket> tcp_sockets();
std::vector<UnixSocket> unix_sockets();

struct Process {
  pid_t pid = 0;
  // The executable's file name; the process name if the executable is unknown.
  std::string program;
  bool is_segmilter() const { return program == "segmilter"; }
};

// The processes that have the socket open, lowest pid first. Empty if there are none, or if this
// process may not see them.
std::vector<Process> owners(std::uint64_t inode);

// True if the process holds an eBPF program, which shows that its kernel filter is loaded. nullopt
// if this process may not see it.
std::optional<bool> holds_bpf(pid_t pid);

// The machine's own addresses with port 0. Loopback and link-local addresses are omitted.
std::vector<Endpoint> own_addresses();

// Reads a file from `offset` on, about 8 MiB at most. Returns an empty text if it cannot be read.
std::string read_from(const std::string& path, std::uint64_t offset = 0);

}  // namespace net
