// Finds a client's connection in Postfix's log: in Postfix's own file or syslog's, else in the
// journal.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "milter/net/address.h"

namespace doctor {

// The result of comparing the log's lines "connect from NAME[ADDRESS]:PORT" with the address and
// port from which the doctor connected.
enum class Seen {
  Port,         // the log has the address and the port
  AddressOnly,  // the log has the address; Postfix does not log ports
  Loopback,     // the log has only a connection from 127.0.0.1 or ::1: Postfix takes the client for
                // the proxy
  Others,       // the log has other connections, not this one
  Nothing,      // the log has no connection
};
Seen seen_in_log(std::string_view log, const net::Endpoint& client);

class PostfixLog {
 public:
  // Only lines that are written after the construction are searched. `maillog_file` is Postfix's
  // setting of that name; empty: Postfix logs to syslog.
  explicit PostfixLog(std::string_view maillog_file);

  // Waits at most 3 s for the connection's line, because syslog writes with a delay.
  Seen wait_for(const net::Endpoint& client);
  // The source of the lines that were read last: a file's path, or "the journal".
  const std::string& name() const { return source_; }

 private:
  std::string read();
  std::string new_lines() const;
  std::string journal() const;

  std::string file_;  // empty: no log file can be read
  std::string source_ = "the journal";
  std::uint64_t size_ = 0;
  std::time_t since_;
};

}  // namespace doctor
