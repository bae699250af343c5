// What the filter asks an observing process, and its one text form.
//
//     get client=192.0.2.7:40112 server=198.51.100.25:25 began=81234567890 after=0
//         greeting=22 mail=38 rcpt=31,33 envelope=102 header=610 fields=70,40,22 body=4808 dots=2
//
// All in one line, items in any order. Only `client` and `after` must be there; what is missing is
// not known and is compared with nothing. A question has at most kMostText bytes; a longer list of
// recipients or fields is cut by whoever makes it (classifier/message_sizes.h).
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

struct Question {
  static constexpr std::size_t kMostText = 2048;

  net::Endpoint client;
  std::optional<net::Endpoint> server;  // whom the client called, as Postfix knows it
  // When Postfix turned to the filter for this session: between the moment in which Postfix was
  // connected to and its greeting. Of CLOCK_MONOTONIC, which all processes of a machine share.
  std::optional<steady_clock::time_point> began;
  std::uint32_t after = 0;       // the message has a higher number in its session
  classifier::ShownSizes shown;  // what Postfix has shown of it

  bool operator==(const Question&) const = default;
};

std::string print(const Question& question);  // without a line end
// Nothing for a text that print() would not make, but for the order of its items.
std::optional<Question> parse_question(std::string_view text);

}  // namespace evidence
