// Who listens where on this machine, from /proc. What is another user's process only root may see.
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

// Of /proc/net/tcp (`v6`: of /proc/net/tcp6) and /proc/net/unix. Lines that cannot be read are left
// out.
std::vector<TcpSocket> parse_tcp(std::string_view text, bool v6);
std::vector<UnixSocket> parse_unix(std::string_view text);

// Of this process's network namespace, now.
std::vector<TcpSocket> tcp_sockets();
std::vector<UnixSocket> unix_sockets();

struct Process {
  pid_t pid = 0;
  std::string
      program;  // the executable's name; where that is not known, what the process is called
  bool is_segmilter() const { return program == "segmilter"; }
};

// The processes that have the socket open, lowest pid first. Empty: none, or none that we may see.
std::vector<Process> owners(std::uint64_t inode);

// Whether a process holds an eBPF program, as one does whose kernel filter is loaded. nullopt: we
// may not see.
std::optional<bool> holds_bpf(pid_t pid);

// The machine's own addresses, port 0; loopback is left out.
std::vector<Endpoint> own_addresses();

// The whole of a small file, at most 8 MiB; empty if it cannot be read. From `offset` on.
std::string read_from(const std::string& path, std::uint64_t offset = 0);

}  // namespace net
