// One milter dialogue: what Postfix reports of one client's connection, and the judgement of each
// of its messages. It knows nothing of libmilter, so that tests can play Postfix.
//
//     connect ─► helo ─► ┌ mail ─► header… ─► end_of_message ┐ ─► (destroyed)
//                        └────────── abort ◄─────────────────┘    again for each message
//
// Any of these calls may be missing: close may come without connect, and the address may be
// unknown. It has no lock: libmilter makes the calls for one connection one after the other, though
// from different threads.
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
#include "milter/filter/exemption.h"
#include "milter/filter/shown.h"
#include "milter/net/address.h"
#include "milter/policy/decision.h"
#include "milter/reputation/reader.h"
#include "milter/seal/identity.h"
#include "milter/seal/seal.h"

namespace filter {

using std::chrono::steady_clock;

// Answers the filter's questions about what was seen.
class EvidenceSource {
 public:
  virtual ~EvidenceSource() = default;
  // As evidence::Client::ask.
  virtual classifier::Trace ask(const evidence::Question& question) = 0;
};

// What is to be done with one message, and why.
struct Judgement {
  Exemption exempt = Exemption::None;  // other than None: no header is added
  classifier::Trace trace;             // empty for an exempt message
  classifier::Verdict verdict;         // its score and reasons have the terms of the standing
  std::optional<reputation::Standing>
      standing;  // nothing: there was no answer, or nobody was asked
  policy::Basis basis = policy::Basis::Evidence;
  policy::Decision decision;
  std::string listener;  // it was judged by the section [listener.NAME]; empty: by [policy]
  std::string failure;   // what() of an exception while the message was judged; else empty
  bool tls = false;
  unsigned own = 0;       // headers of our name that came with the message
  unsigned in_front = 0;  // fields above Postfix's own Received
  // Whether headers of our name are deleted. Not for our own networks and authenticated users,
  // which may run a segmilter themselves. From any other client such a header may be forged.
  bool delete_forged = true;
  // The message has more headers of our name than Postfix can delete. No honest program sends such
  // a message. It is not judged but refused, in every mode, because a header that stayed could be
  // taken for ours.
  bool flood = false;
  unsigned deleted = 0;  // headers that Postfix was asked to delete
  unsigned kept = 0;     // number of the header with a good seal, from 1; 0: none
  // For a relay on the list: Good, or the result of its first header.
  seal::Result seal = seal::Result::None;
  bool from_relay = false;  // the client is a relay on that list
  seal::Digest identity{};  // identifies the message in a seal of ours

  // How many headers have to be deleted.
  unsigned forged() const { return delete_forged ? own - (kept != 0 ? 1 : 0) : 0; }
};

class Connection {
 public:
  // `now`: when Postfix contacted us for this session, by the steady clock.
  void connect(std::optional<net::Endpoint> client, std::optional<net::Endpoint> server,
               std::optional<steady_clock::time_point> now) {
    client_ = client;
    server_ = server;
    began_ = now;
  }
  // The name as Postfix confirmed it; "unknown" or an address in brackets if it could not.
  void client_name(std::string_view name) { client_name_ = name; }
  // Where the client connected to: Postfix's milter_macro_daemon_name, and the port; 0: not known.
  void daemon(std::string_view name, std::uint16_t port) {
    daemon_name_ = name;
    daemon_port_ = port;
  }
  // `tls`: the command came under TLS.
  void helo(std::string_view name, bool tls = false) {
    helo_ = name;
    helo_under_tls_ = tls;
  }
  // `path` as in MAIL, in angle brackets. `login`: the SASL login name; empty if there is none.
  void mail(std::string_view path, std::string_view login, bool tls);
  // A parameter of MAIL: "SIZE=5112", "BODY=8BITMIME". RFC 5321, 4.1.1.11.
  void mail_parameter(std::string_view parameter);
  // A recipient, accepted or refused by Postfix, and each parameter of its command.
  void rcpt(std::string_view path) { message_.shown.rcpt(path); }
  void rcpt_parameter(std::string_view parameter) { message_.shown.rcpt_parameter(parameter); }
  // `blank_taken`: Postfix has removed the blank after the colon.
  void header(std::string_view name, std::string_view value = {}, bool blank_taken = true);
  // Whether body() has to be called for the whole message. That is so if count_body is set and the
  // observer does not read the text (under TLS and on the wire). Otherwise the first part is
  // enough.
  bool wants_body(const config::Config& settings) const;
  void body(std::string_view bytes) { message_.shown.body(bytes); }
  // The rest of the body is not shown. The part before it may not have been the last.
  void body_unseen() { message_.shown.body_unseen(); }
  void abort() { message_ = {}; }
  // Asks for the evidence and classifies; may wait for filter.evidence_timeout. `reputations`: null
  // if there are none. `now`: since 1970; to compute the age of seals and of reputations.
  Judgement end_of_message(const config::Config& settings, EvidenceSource& source,
                           seal::Seconds now, const reputation::Reader* reputations = nullptr);

  const std::optional<net::Endpoint>& client() const { return client_; }
  const std::string& helo() const { return helo_; }
  const std::string& client_name() const { return client_name_; }  // as Postfix gave it
  // No message of the session up to this number is still to be judged.
  std::uint32_t judged() const { return judged_; }

 private:
  // A relay adds one header. A client that sends more cannot cause more work than this.
  static constexpr unsigned kMostSeals = 8;

  struct Message {
    bool authenticated = false;
    bool tls = false;
    OwnHeaders own;
    std::vector<std::string> own_values;  // of the first kMostSeals of them, to check their seals
    seal::Identity identity;
    classifier::Claims claims;
    Shown shown;
    classifier::Dialogue parameters;  // the parameters of MAIL
  };

  void check_seals(const Message& message, const config::Seal& settings, seal::Seconds now,
                   Judgement& result) const;
  static void place_text(const Shown& shown, classifier::Trace& trace);
  static void fit_to_shown(const Shown& shown, classifier::Trace& trace);
  static void add_what_was_shown(const Message& message, classifier::Trace& trace);
  const config::Listener* listener(const config::Config& settings) const {
    return config::listener_for(settings, daemon_name_, daemon_port_);
  }
  const classifier::Policy& thresholds(const config::Config& settings) const;
  void judge(const Message& message, const config::Config& settings, EvidenceSource& source,
             Judgement& result);
  void add_standing(const config::Config& settings, const reputation::Reader& reputations,
                    seal::Seconds now, Judgement& result) const;
  void decide_on(const config::Config& settings, Judgement& result) const;

  std::optional<net::Endpoint> client_;
  std::optional<net::Endpoint> server_;
  std::optional<steady_clock::time_point> began_;
  std::string client_name_;
  std::string daemon_name_;
  std::uint16_t daemon_port_ = 0;
  std::string helo_;
  bool helo_under_tls_ = false;
  std::uint32_t judged_ = 0;

  Message message_;  // the current message
};

}  // namespace filter
