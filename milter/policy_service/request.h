// A request of Postfix's policy delegation protocol (SMTPD_POLICY_README): attributes, one a line,
// and an empty line.
//
//     request=smtpd_access_policy
//     protocol_state=RCPT
//     client_address=192.0.2.7
//     client_port=40112
//     …
//
// The texts in it come from a stranger: EHLO name, sender, recipient. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "milter/config/policy_rule.h"
#include "milter/net/address.h"

namespace policy_service {

// Postfix's longest line of SMTP is 2048 bytes, and a request has three texts of a client. Chosen:
// room for these and for Postfix's own attributes, among them those of a TLS certificate.
inline constexpr std::size_t kMostRequest = 16 * 1024;

struct Request {
  std::optional<config::PolicyState> state;  // nothing: one in which nothing is answered
  std::optional<net::Endpoint> client;       // with port 0 if Postfix does not know the port
  std::optional<net::Endpoint> server;       // nothing if its port is not known
  std::string client_name;                   // as Postfix confirmed it; "unknown" if it could not
  std::string helo;
  std::string sender;      // without angle brackets
  std::string recipient;   // empty if there are several
  std::string queue_id;    // empty before Postfix has one
  std::string instance;    // the same for all questions about a message
  std::uint64_t size = 0;  // at END-OF-MESSAGE, of the message; before, what the client announced
  bool authenticated = false;
  bool tls = false;

  bool operator==(const Request&) const = default;
};

struct Parsed {
  enum class Outcome {
    More,       // the bytes so far may begin a request
    Complete,   // the first `size` bytes are a request
    Malformed,  // no request of Postfix begins like this
  };
  Outcome outcome = Outcome::More;
  std::size_t size = 0;
  Request request;
  std::string_view reason;  // if malformed: a constant text that begins with "it"
};

// Reads the first request in `bytes`. Never wants more than kMostRequest bytes. Unknown attributes
// are skipped; a known one that occurs twice is malformed, because Postfix does not repeat any.
Parsed parse_request(std::string_view bytes);

}  // namespace policy_service
