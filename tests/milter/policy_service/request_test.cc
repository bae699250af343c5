// Tests milter/policy_service/request: what Postfix sends, and what it never sends.
#include "milter/policy_service/request.h"

#include <catch2/catch.hpp>
#include <string>

using config::PolicyState;
using policy_service::kMostRequest;
using policy_service::parse_request;
using policy_service::Parsed;
using policy_service::Request;

namespace {

// As Postfix 3.7 sends it at RCPT.
const std::string kRcpt =
    "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n"
    "client_address=192.0.2.7\nclient_name=mail.sender.example\nclient_port=40112\n"
    "reverse_client_name=mail.sender.example\nserver_address=198.51.100.25\nserver_port=25\n"
    "helo_name=mail.sender.example\nsender=bounce@sender.example\nrecipient=alice@example.org\n"
    "recipient_count=0\nqueue_id=\ninstance=4711.6758b1f2.3a.0\nsize=5112\netrn_domain=\n"
    "stress=\nsasl_method=\nsasl_username=\nsasl_sender=\nccert_subject=\nccert_issuer=\n"
    "ccert_fingerprint=\nccert_pubkey_fingerprint=\nencryption_protocol=\nencryption_cipher=\n"
    "encryption_keysize=0\npolicy_context=\n\n";

Parsed::Outcome outcome(const std::string& text) {
  return parse_request(text).outcome;
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = kRcpt;
  const auto at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a request of Postfix is read") {
  const auto parsed = parse_request(kRcpt + "request=smtpd_access_policy\n");
  REQUIRE(parsed.outcome == Parsed::Outcome::Complete);
  CHECK(parsed.size == kRcpt.size());
  CHECK(parsed.request == Request{.state = PolicyState::Rcpt,
                                  .client = net::Endpoint::parse("192.0.2.7:40112"),
                                  .server = net::Endpoint::parse("198.51.100.25:25"),
                                  .client_name = "mail.sender.example",
                                  .helo = "mail.sender.example",
                                  .sender = "bounce@sender.example",
                                  .recipient = "alice@example.org",
                                  .instance = "4711.6758b1f2.3a.0",
                                  .size = 5112});
}

TEST_CASE("requests that differ in one line are read too") {
  struct Row {
    const char* what;
    std::string text;
    bool (*holds)(const Request&);
  };
  const Row rows[] = {
      {"a state of another command", with("protocol_state=RCPT", "protocol_state=VRFY"),
       [](const Request& one) { return !one.state; }},
      {"EHLO", with("protocol_state=RCPT", "protocol_state=EHLO"),
       [](const Request& one) { return one.state == PolicyState::Helo; }},
      {"the end of the message", with("protocol_state=RCPT", "protocol_state=END-OF-MESSAGE"),
       [](const Request& one) { return one.state == PolicyState::EndOfMessage; }},
      {"IPv6", with("192.0.2.7", "2001:db8::7"),
       [](const Request& one) {
         return one.client == net::Endpoint::parse("[2001:db8::7]:40112");
       }},
      {"a client without an address", with("192.0.2.7", "unknown"),
       [](const Request& one) { return !one.client; }},
      {"a port that Postfix does not know", with("client_port=40112", "client_port=unknown"),
       [](const Request& one) {
         return one.client && one.client->port() == 0 && one.client->print_address() == "192.0.2.7";
       }},
      {"an older Postfix, which has no address of the server",
       with("server_address=198.51.100.25\nserver_port=25\n", ""),
       [](const Request& one) { return !one.server; }},
      {"a login", with("sasl_username=", "sasl_username=alice"),
       [](const Request& one) { return one.authenticated; }},
      {"TLS", with("encryption_protocol=", "encryption_protocol=TLSv1.3"),
       [](const Request& one) { return one.tls; }},
      {"an equals sign in a value", with("bounce@", "bounce=a=b@"),
       [](const Request& one) { return one.sender == "bounce=a=b@sender.example"; }},
      {"an attribute that is not known", with("stress=\n", "stress=\nnew_one=yes\n"),
       [](const Request& one) { return one.size == 5112; }},
      {"an unknown attribute twice", with("stress=\n", "stress=\nstress=yes\n"),
       [](const Request& one) { return one.size == 5112; }},
      {"the null sender", with("bounce@sender.example", ""),
       [](const Request& one) { return one.sender.empty(); }},
      {"a size beyond all numbers", with("size=5112", "size=99999999999999999999"),
       [](const Request& one) { return one.size == 0; }},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto parsed = parse_request(row.text);
    REQUIRE(parsed.outcome == Parsed::Outcome::Complete);
    CHECK(parsed.size == row.text.size());
    CHECK(row.holds(parsed.request));
  }
}

TEST_CASE("what is not a request of Postfix is refused") {
  struct Row {
    const char* what;
    std::string text;
  };
  const Row rows[] = {
      {"no line at all", "\n"},
      {"only an empty line after another", "\n\n"},
      {"another request", with("smtpd_access_policy", "junk")},
      {"no request", with("request=smtpd_access_policy\n", "")},
      {"no state", with("protocol_state=RCPT\n", "")},
      {"a line without =", with("stress=", "stress")},
      {"a line without a name", with("stress=", "=")},
      {"an attribute twice", with("stress=", "client_address=192.0.2.8")},
      {"the request twice", with("stress=", "request=smtpd_access_policy")},
      {"a byte with the value 0", with("stress=", std::string("stress=\0", 8))},
      {"a request that has no end", std::string(kMostRequest, 'x')},
      {"an HTTP client", "GET / HTTP/1.1\nHost: a\n\n"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto parsed = parse_request(row.text);
    CHECK(parsed.outcome == Parsed::Outcome::Malformed);
    CHECK(parsed.reason.starts_with("it "));
  }
}

TEST_CASE("each beginning of a request waits for more") {
  for (std::size_t size = 0; size < kRcpt.size(); ++size) {
    CAPTURE(size);
    REQUIRE(outcome(kRcpt.substr(0, size)) == Parsed::Outcome::More);
  }
}

TEST_CASE("the longest request is read, and one byte more is refused") {
  const auto room = kMostRequest - kRcpt.size();
  CHECK(outcome(with("stress=", "stress=" + std::string(room, 'x'))) == Parsed::Outcome::Complete);
  CHECK(outcome(with("stress=", "stress=" + std::string(room + 1, 'x'))) ==
        Parsed::Outcome::Malformed);
}
