#include "milter/policy_service/request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "text/number.h"

namespace policy_service {
namespace {

using config::PolicyState;

// The attributes that are read, in the order of their names below.
enum Attribute : std::size_t {
  kRequest,
  kState,
  kClientAddress,
  kClientPort,
  kServerAddress,
  kServerPort,
  kClientName,
  kHelo,
  kSender,
  kRecipient,
  kQueueId,
  kInstance,
  kSize,
  kSaslUsername,
  kEncryption,
  kCount,
};
constexpr std::array<std::string_view, kCount> kNames = {
    "request",     "protocol_state", "client_address", "client_port",   "server_address",
    "server_port", "client_name",    "helo_name",      "sender",        "recipient",
    "queue_id",    "instance",       "size",           "sasl_username", "encryption_protocol"};
using Values = std::array<std::optional<std::string_view>, kCount>;

Parsed malformed(std::string_view reason) {
  return {.outcome = Parsed::Outcome::Malformed, .reason = reason};
}

// Returns an empty text, or why the lines are not those of a request.
std::string_view read_lines(std::string_view lines, Values& values) {
  while (!lines.empty()) {
    const auto line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(lines.size(), line.size() + 1));
    const auto equals = line.find('=');
    if (equals == line.npos || equals == 0) return "it has a line without name and value";
    const auto name = std::find(kNames.begin(), kNames.end(), line.substr(0, equals));
    if (name == kNames.end()) continue;
    auto& value = values[static_cast<std::size_t>(name - kNames.begin())];
    if (value) return "it has an attribute twice";
    value = line.substr(equals + 1);
  }
  return {};
}

std::optional<PolicyState> state_of(std::string_view text) {
  if (text == "EHLO") return PolicyState::Helo;
  for (std::size_t i = 0; i < config::kPolicyStates; ++i) {
    const auto state = static_cast<PolicyState>(i);
    if (name(state) == text) return state;
  }
  return std::nullopt;
}

std::optional<net::Endpoint> endpoint_of(std::optional<std::string_view> address,
                                         std::optional<std::string_view> port) {
  const auto number = text::number<std::uint16_t>(port.value_or(""));
  return net::Endpoint::parse_address(address.value_or(""), number.value_or(0));
}

Request request_of(const Values& values) {
  const auto text = [&values](Attribute attribute) {
    return std::string(values[attribute].value_or(""));
  };
  Request request{
      .state = state_of(*values[kState]),
      .client = endpoint_of(values[kClientAddress], values[kClientPort]),
      .server = endpoint_of(values[kServerAddress], values[kServerPort]),
      .client_name = text(kClientName),
      .helo = text(kHelo),
      .sender = text(kSender),
      .recipient = text(kRecipient),
      .queue_id = text(kQueueId),
      .instance = text(kInstance),
      .size = text::number<std::uint64_t>(values[kSize].value_or("")).value_or(0),
      .authenticated = !values[kSaslUsername].value_or("").empty(),
      .tls = !values[kEncryption].value_or("").empty(),
  };
  if (request.server && request.server->port() == 0) request.server.reset();
  return request;
}

}  // namespace

Parsed parse_request(std::string_view bytes) {
  constexpr std::string_view kEnd = "\n\n";
  const auto head = bytes.substr(0, kMostRequest);
  if (head.starts_with('\n')) return malformed("it is empty");
  if (head.find('\0') != head.npos) return malformed("it has a byte with the value 0");
  const auto end = head.find(kEnd);
  if (end == head.npos) {
    return head.size() < kMostRequest ? Parsed{} : malformed("it is longer than a request can be");
  }
  Values values;
  const auto wrong = read_lines(head.substr(0, end + 1), values);
  if (!wrong.empty()) return malformed(wrong);
  if (values[kRequest] != "smtpd_access_policy") {
    return malformed("it has no request=smtpd_access_policy");
  }
  if (!values[kState]) return malformed("it has no protocol_state");
  return {.outcome = Parsed::Outcome::Complete,
          .size = end + kEnd.size(),
          .request = request_of(values)};
}

}  // namespace policy_service
