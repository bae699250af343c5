// One milter dialogue: what Postfix said of one client's connection, and the judgement of each of
// its messages. Knows nothing of libmilter, so that tests can play Postfix.
//
//     connect ─► helo ─► ┌ mail ─► header… ─► end_of_message ┐ ─► (destroyed)
//                        └────────── abort ◄─────────────────┘    again for each message
//
// Any of them may be missing: close comes without connect, the address may be unknown. Not locked:
// libmilter calls for one connection one after the other, though from different threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/config/config.h"
#include "milter/filter/shown.h"
#include "milter/net/address.h"

namespace filter {

// Whom the filter asks what was seen.
class EvidenceSource {
 public:
  virtual ~EvidenceSource() = default;
  // As evidence::Client::ask.
  virtual classifier::Trace ask(const net::Endpoint& client, std::uint32_t after,
                                const classifier::ShownSizes& sizes) = 0;
};

enum class Exemption : std::uint8_t { None, Authenticated, Loopback, OwnNetwork };
std::string_view name(Exemption exemption);

// What is to be done with one message.
struct Judgement {
  Exemption exempt = Exemption::None;  // other than None: header neither added nor removed
  classifier::Trace trace;             // with an exempt message: empty
  classifier::Verdict verdict;
  bool tls = false;
  unsigned forged = 0;  // headers of our name that came with the message
};

class Connection {
 public:
  void connect(std::optional<net::Endpoint> client) { client_ = client; }
  void helo(std::string_view name) { helo_ = name; }
  // `path` as MAIL has it, in angle brackets. `login`: the SASL login name, empty if there is none.
  void mail(std::string_view path, std::string_view login, bool tls);
  // A parameter of MAIL: "SIZE=5112", "BODY=8BITMIME". RFC 5321, 4.1.1.11.
  void mail_parameter(std::string_view parameter);
  // A recipient that Postfix took, and each parameter of its command.
  void rcpt(std::string_view path) { shown_.rcpt(path); }
  void rcpt_parameter(std::string_view parameter) { shown_.parameter(parameter); }
  // `blank_taken`: Postfix has taken the blank behind the colon away.
  void header(std::string_view name, std::string_view value = {}, bool blank_taken = true);
  // Whether body() is to be called to the message's end: where the observer does not read the text,
  // under TLS and on the wire, and the count is asked for.
  bool wants_body(const config::Config& settings) const;
  void body(std::string_view bytes) { shown_.body(bytes); }
  void body_unseen() { shown_.body_unseen(); }
  void abort() { begin_message(); }
  // Asks and classifies; may wait for the evidence timeout.
  Judgement end_of_message(const config::Config& settings, EvidenceSource& source);

  const std::optional<net::Endpoint>& client() const { return client_; }
  const std::string& helo() const { return helo_; }

 private:
  void begin_message();
  static void fit_to_shown(const Shown& shown, classifier::Trace& trace);
  static void add_what_was_shown(const Shown& shown, const classifier::Dialogue& parameters,
                                 classifier::Trace& trace);
  Exemption exemption(const config::Exempt& settings) const;

  std::optional<net::Endpoint> client_;
  std::string helo_;
  std::uint32_t judged_ = 0;  // no message up to this number is waiting to be judged

  // Of the current message.
  bool authenticated_ = false;
  bool tls_ = false;
  unsigned forged_ = 0;
  classifier::Claims claims_;
  Shown shown_;
  classifier::Dialogue parameters_;  // what MAIL said
};

}  // namespace filter
