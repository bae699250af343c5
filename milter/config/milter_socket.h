// filter.socket: where the filter waits for Postfix, as libmilter spells it:
//
//     unix:/var/spool/postfix/segmilter/milter.sock
//     inet:8890@127.0.0.1      inet6:8890@::1      inet:8890@mx1.example.org
//
// Postfix's smtpd_milters has the same sockets in another spelling, inet:HOST:PORT.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "milter/net/address.h"

namespace config {

struct MilterSocket {
  enum class Kind { Unix, Inet, Inet6 };

  Kind kind = Kind::Unix;
  std::string path;        // of a unix socket: absolute; else empty
  std::string host;        // else: an address without brackets, or a name
  std::uint16_t port = 0;  // of the host

  bool is_unix() const { return kind == Kind::Unix; }
  // As libmilter spells it.
  std::string print() const;
  // Of an inet socket, where its host is an address, or "localhost". Names are not looked up.
  std::optional<net::Endpoint> address() const;

  bool operator==(const MilterSocket&) const = default;
};

// The socket, or the reason against `text`, which says how a spelling of Postfix's is to be.
std::variant<MilterSocket, std::string> parse_milter_socket(std::string_view text);

// Empty, or the reason why a unix socket cannot have this path.
std::string check_socket_path(std::string_view path);

}  // namespace config
