// What Postfix logs of a client: in its own file or syslog's, else in the journal.
#pragma once

#include <ctime>
#include <string>
#include <string_view>

#include "milter/net/address.h"

namespace doctor {

// The lines "connect from NAME[ADDRESS]:PORT" of Postfix's log, against the address and port from
// which the doctor connected.
enum class Seen {
  Port,         // address and port are there
  AddressOnly,  // the address is, Postfix does not log ports
  Loopback,     // not this one, but one from 127.0.0.1 or ::1, as which a hidden client appears
  Others,       // connections were logged, this one was not
  Nothing,      // no connection was logged
};
Seen seen_in_log(std::string_view log, const net::Endpoint& client);

class PostfixLog {
 public:
  // Knows from here on what is new. `maillog_file`: Postfix's setting; empty where it logs to
  // syslog.
  explicit PostfixLog(std::string_view maillog_file);

  // Waits for the connection's line, at most 3 s: syslog takes its time.
  Seen wait_for(const net::Endpoint& client);
  // Where the last lines that were read came from.
  const std::string& name() const { return source_; }

 private:
  std::string read();
  std::string new_lines() const;
  std::string journal() const;

  std::string file_;  // empty: there is none
  std::string source_ = "the journal";
  std::uint64_t size_ = 0;
  std::time_t since_;
};

}  // namespace doctor
