// A question of the filter to an observing process, and its text form. There are two: what was seen
// of a message, and how the client has talked so far.
//
//     get client=192.0.2.7:40112 server=198.51.100.25:25 began=81234567890 after=0
//         greeting=22 mail=38 rcpt=31,33 envelope=102 header=610 fields=70,40,22 body=4808 dots=2
//     talk client=192.0.2.7:40112 server=198.51.100.25:25 began=81234567890
//
// All of it is on one line; the items may come in any order. Only `client` is required, and `after`
// in the first form; the second form has client, server and began alone. An item that is missing is
// unknown and is not compared. A question has at most kMostText bytes. A longer list of
// recipients or fields must be cut before (classifier/message_sizes.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "classifier/message_sizes.h"
#include "milter/net/address.h"

namespace evidence {

using std::chrono::steady_clock;

// Which session is meant.
struct SessionQuestion {
  net::Endpoint client;
  // The address that the client connected to, as Postfix reports it.
  std::optional<net::Endpoint> server;
  // As Question::began.
  std::optional<steady_clock::time_point> began;

  bool operator==(const SessionQuestion&) const = default;
};

struct Question {
  static constexpr std::size_t kMostText = 2048;

  net::Endpoint client;
  // The address that the client connected to, as Postfix reports it.
  std::optional<net::Endpoint> server;
  // The time at which Postfix contacted the filter for this session. It is after the proxy
  // connected to Postfix, and before Postfix sent its greeting. Uses CLOCK_MONOTONIC, which all
  // processes of a machine share.
  std::optional<steady_clock::time_point> began;
  std::uint32_t after = 0;       // the message has a higher number in its session than this
  classifier::ShownSizes shown;  // sizes of what Postfix has shown of the message

  SessionQuestion session() const { return {client, server, began}; }
  bool operator==(const Question&) const = default;
};

// Both without a line end.
std::string print(const Question& question);
std::string print(const SessionQuestion& question);
// Reads a text that print() made; the items may be in any order. Returns nullopt for any other
// text.
std::optional<Question> parse_question(std::string_view text);
std::optional<SessionQuestion> parse_session_question(std::string_view text);

}  // namespace evidence
