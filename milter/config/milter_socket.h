// filter.socket: the socket on which the filter waits for Postfix, in libmilter's spelling:
//
//     unix:/var/spool/postfix/segmilter/milter.sock
//     inet:8890@127.0.0.1      inet6:8890@::1      inet:8890@mx1.example.org
//
// Postfix's smtpd_milters names the same sockets in another spelling, inet:HOST:PORT.
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
  std::string path;        // of a unix socket: absolute; otherwise empty
  std::string host;        // of an inet socket: a name, or an address without brackets
  std::uint16_t port = 0;  // of an inet socket

  bool is_unix() const { return kind == Kind::Unix; }
  // Returns libmilter's spelling.
  std::string print() const;
  // Returns the address of an inet socket if its host is an address or "localhost". Other names are
  // not looked up.
  std::optional<net::Endpoint> address() const;

  bool operator==(const MilterSocket&) const = default;
};

// Returns the socket, or the reason why `text` is refused. For Postfix's spelling the reason
// contains the corrected text.
std::variant<MilterSocket, std::string> parse_milter_socket(std::string_view text);

// Returns an empty text, or the reason why a unix socket cannot have this path.
std::string check_socket_path(std::string_view path);
std::string check_socket_path_or_empty(std::string_view path);

}  // namespace config
