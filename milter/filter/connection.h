// One milter dialogue: what Postfix said of one client's connection, and the judgement of each of
// its messages. Knows nothing of libmilter, so that tests can play Postfix.
//
//     connect ─► helo ─► ┌ mail ─► header… ─► end_of_message ┐ ─► (destroyed)
//                        └────────── abort ◄─────────────────┘    again for each message
//
// Any of them may be missing: close comes without connect, the address may be unknown. Not locked:
// libmilter calls for one connection one after the other, though from different threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "classifier/classify.h"
#include "classifier/trace.h"
#include "milter/config/config.h"
#include "milter/evidence/question.h"
#include "milter/filter/edits.h"
#include "milter/filter/shown.h"
#include "milter/net/address.h"
#include "milter/policy/decision.h"
#include "milter/seal/identity.h"
#include "milter/seal/seal.h"

namespace filter {

using std::chrono::steady_clock;

// Whom the filter asks what was seen.
class EvidenceSource {
 public:
  virtual ~EvidenceSource() = default;
  // As evidence::Client::ask.
  virtual classifier::Trace ask(const evidence::Question& question) = 0;
};

enum class Exemption : std::uint8_t {
  None,
  Authenticated,
  Loopback,
  OwnNetwork,
  ClientName,  // its confirmed name is on the list
  HeloName,    // so is what it said in EHLO, and its confirmed name bears it out
  Relay,       // whose seals are believed: what was seen would be of the relay, not of the sender
  Sealed,      // the same, and its header stays
};
std::string_view name(Exemption exemption);

// What is to be done with one message.
struct Judgement {
  Exemption exempt = Exemption::None;  // other than None: no header is added
  classifier::Trace trace;             // with an exempt message: empty
  classifier::Verdict verdict;
  policy::Basis basis = policy::Basis::Evidence;
  policy::Decision decision;
  std::string listener;  // the section [listener.NAME] that it was judged by; empty: [policy]
  std::string failure;   // what an exception said while it was judged; else empty
  bool tls = false;
  unsigned own = 0;       // headers of our name that came with the message
  unsigned in_front = 0;  // fields that were put above Postfix's own Received
  // They are deleted, or are none of our business: one's own networks may have a filter of their
  // own, from anywhere else anybody may have written them.
  bool delete_forged = true;
  // More of them than Postfix can delete: no honest program sends such a message. It is refused in
  // every mode, since what would stay could be taken for ours, and it is not judged.
  bool flood = false;
  unsigned deleted = 0;  // that Postfix was told to delete
  unsigned kept = 0;     // the number of the one with a good seal, from 1; 0: none
  seal::Result seal = seal::Result::None;  // of a relay on the list: of its first header
  bool from_relay = false;                 // a relay on that list
  seal::Digest identity{};                 // what a seal of ours is for

  // How many of them go.
  unsigned forged() const { return delete_forged ? own - (kept != 0 ? 1 : 0) : 0; }
};

class Connection {
 public:
  // `now`: when Postfix turned to us for this session, by the steady clock.
  void connect(std::optional<net::Endpoint> client, std::optional<net::Endpoint> server,
               std::optional<steady_clock::time_point> now) {
    client_ = client;
    server_ = server;
    began_ = now;
  }
  // As Postfix confirmed it; "unknown" or an address in brackets where it could not.
  void client_name(std::string_view name) { client_name_ = name; }
  // Where the client connected to: Postfix's milter_macro_daemon_name, and the port; 0: not told.
  void daemon(std::string_view name, std::uint16_t port) {
    daemon_name_ = name;
    daemon_port_ = port;
  }
  // `tls`: it was said under TLS.
  void helo(std::string_view name, bool tls = false) {
    helo_ = name;
    helo_under_tls_ = tls;
  }
  // `path` as MAIL has it, in angle brackets. `login`: the SASL login name, empty if there is none.
  void mail(std::string_view path, std::string_view login, bool tls);
  // A parameter of MAIL: "SIZE=5112", "BODY=8BITMIME". RFC 5321, 4.1.1.11.
  void mail_parameter(std::string_view parameter);
  // A recipient, which Postfix took or refused, and each parameter of its command.
  void rcpt(std::string_view path) { message_.shown.rcpt(path); }
  void rcpt_parameter(std::string_view parameter) { message_.shown.rcpt_parameter(parameter); }
  // `blank_taken`: Postfix has taken the blank behind the colon away.
  void header(std::string_view name, std::string_view value = {}, bool blank_taken = true);
  // Whether body() is to be called to the message's end: where the observer does not read the text,
  // under TLS and on the wire, and the count is asked for. Else the first part is enough.
  bool wants_body(const config::Config& settings) const;
  void body(std::string_view bytes) { message_.shown.body(bytes); }
  // More of it is not shown, behind a part that may not be the last.
  void body_unseen() { message_.shown.body_unseen(); }
  void abort() { message_ = {}; }
  // Asks and classifies; may wait for the evidence timeout. `now`: for the age of seals.
  Judgement end_of_message(const config::Config& settings, EvidenceSource& source,
                           seal::Seconds now);

  const std::optional<net::Endpoint>& client() const { return client_; }
  const std::string& helo() const { return helo_; }
  const std::string& client_name() const { return client_name_; }  // as it was given

 private:
  // A relay's header is its only one; who sends more does not get more work done.
  static constexpr unsigned kMostSeals = 8;

  struct Message {
    bool authenticated = false;
    bool tls = false;
    OwnHeaders own;
    std::vector<std::string> own_values;  // of the first of them, for their seals
    seal::Identity identity;
    classifier::Claims claims;
    Shown shown;
    classifier::Dialogue parameters;  // what MAIL said
  };

  void check_seals(const Message& message, const config::Seal& settings, seal::Seconds now,
                   Judgement& result) const;
  static void place_text(const Shown& shown, classifier::Trace& trace);
  static void fit_to_shown(const Shown& shown, classifier::Trace& trace);
  static void add_what_was_shown(const Message& message, classifier::Trace& trace);
  Exemption exemption(const Message& message, const config::Exempt& settings) const;
  // The section [listener.NAME] that this connection's messages are judged by; null: [policy].
  const config::Listener* listener(const config::Config& settings) const;
  const classifier::Policy& thresholds(const config::Config& settings) const;
  void judge(const Message& message, const config::Config& settings, EvidenceSource& source,
             Judgement& result);
  void decide_on(const config::Config& settings, Judgement& result) const;

  std::optional<net::Endpoint> client_;
  std::optional<net::Endpoint> server_;
  std::optional<steady_clock::time_point> began_;
  std::string client_name_;
  std::string daemon_name_;
  std::uint16_t daemon_port_ = 0;
  std::string helo_;
  bool helo_under_tls_ = false;
  std::uint32_t judged_ = 0;  // no message up to this number is waiting to be judged

  Message message_;  // the current one
};

}  // namespace filter
