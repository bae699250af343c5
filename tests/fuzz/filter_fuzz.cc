// The milter dialogue: Postfix shows what strangers sent, in any order, and an observer answers
// with any trace. Input: steps, each with one byte for its kind and the bytes that belong to it.
//
// What must hold: headers of our name are counted, and only one stays that our own key has sealed
// for this very message; in monitor mode nothing is done except to refuse a flood of such headers;
// our own seals are valid; the header is printable.
#include <string>
#include <variant>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/filter/connection.h"
#include "milter/filter/header.h"
#include "tests/fuzz/fuzz_input.h"

namespace {

using fuzz::require;

const seal::Key kKey{"k", std::string(32, '\x5a')};
constexpr seal::Seconds kNow{1764108000};

// Answers with the input, if that is a trace.
class Anything final : public filter::EvidenceSource {
 public:
  classifier::Trace ask(const evidence::Question& question) override {
    const std::uint32_t after = question.after;
    require(after >= after_ || after == 0);
    require(evidence::parse_question(evidence::print(question)) == question);
    after_ = after;
    auto trace = classifier::parse_trace(answer);
    if (std::holds_alternative<classifier::Trace>(trace)) {
      return std::get<classifier::Trace>(std::move(trace));
    }
    return classifier::unobserved(classifier::Reason::Error, after + 1);
  }
  std::string answer;

 private:
  std::uint32_t after_ = 0;
};

// What the current message has shown so far, as far as this target needs it.
struct Shown {
  seal::Identity identity;
  unsigned own = 0;
  bool sealed = false;  // one of its headers was made with our key, at some point of the message
};

config::Config settings(std::uint8_t options) {
  config::Config config;
  config.seal.keys = {kKey};
  if ((options & 1) != 0) config.seal.believe_from = {*net::Network::parse("198.51.100.0/24")};
  if ((options & 2) != 0) config.exempt.networks = {*net::Network::parse("192.0.2.0/28")};
  if ((options & 4) != 0) config.exempt.loopback = false;
  if ((options & 8) != 0) config.wire.ports = {25};
  if ((options & 16) != 0) config.exempt.ptr_suffixes = {".example"};
  return config;
}

void check_header(const filter::Judgement& judgement) {
  const filter::Signing signing{kKey, judgement.identity, kNow};
  const auto value = filter::header_value("mx1.example.org", judgement.trace, judgement.verdict,
                                          judgement.decision, judgement.tls, 40, &signing);
  for (const char c : value) require(c == '\n' || c == '\t' || (c >= ' ' && c < 0x7f));
  if (value.size() > seal::kMostValue) return;
  require(seal::check(value, judgement.identity, {kKey}, kNow, seal::Seconds(60)) ==
          seal::Result::Good);
}

void check(const filter::Judgement& judgement, const Shown& shown) {
  using filter::Exemption;
  require(judgement.own == shown.own && judgement.kept <= judgement.own);
  require(judgement.identity == shown.identity.digest());
  if (judgement.kept != 0) require(shown.sealed && judgement.exempt == Exemption::Sealed);
  if (!judgement.delete_forged)
    require(judgement.exempt != Exemption::None && judgement.forged() == 0);
  if (judgement.flood) require(judgement.delete_forged && judgement.own > 0);
  require(judgement.decision.action == classifier::Action::None);  // the default mode is monitor
  if (judgement.exempt == Exemption::None && !judgement.flood) check_header(judgement);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  enum Kind {
    Client,
    Name,
    Helo,
    Mail,
    Parameter,
    Rcpt,
    Header,
    Ours,
    TlsOurs,
    Body,
    Unseen,
    Abort,
    Answer,
    End,
    kKinds
  };
  fuzz::Input input(data, size);
  const auto config = settings(input.byte());
  Anything source;
  filter::Connection connection;
  Shown shown;
  const auto show = [&](std::string_view name, std::string_view value, bool taken) {
    connection.header(name, value, taken);
    shown.identity.field(name, value);
    if (filter::is_own_header(name)) ++shown.own;
  };
  while (!input.empty()) {
    switch (input.byte() % kKinds) {
      case Client:
        connection.connect(net::Endpoint::parse_address(input.text(), input.word()), {}, {});
        break;
      case Name:
        connection.client_name(input.text());
        break;
      case Helo:
        connection.helo(input.text());
        break;
      case Mail: {
        const auto path = input.text();
        const auto login = input.text();
        connection.mail(path, login, (input.byte() & 1) != 0);
        shown = {};
        break;
      }
      case Parameter:
        connection.mail_parameter(input.text());
        break;
      case Rcpt:
        connection.rcpt(input.text());
        connection.rcpt_parameter(input.text());
        break;
      case Header: {
        const auto name = input.text();
        show(name, input.text(), (input.byte() & 1) != 0);
        break;
      }
      case Ours:
        for (unsigned i = input.byte(), value = input.word(); i > 0; --i) {
          show("X-Protocol-Pattern", std::to_string(value), false);
        }
        break;
      case TlsOurs: {
        const auto text = "mx2;v=" + std::to_string(input.byte());
        show("X-Protocol-Pattern",
             text + "; " + seal::make(text, shown.identity.digest(), kKey, kNow), false);
        shown.sealed = true;
        break;
      }
      case Body:
        if (connection.wants_body(config)) connection.body(input.text());
        break;
      case Unseen:
        connection.body_unseen();
        break;
      case Abort:
        connection.abort();
        shown = {};
        break;
      case Answer:
        source.answer = input.take(input.word());
        break;
      case End:
        check(connection.end_of_message(config, source, kNow), shown);
        shown = {};
        break;
    }
  }
  check(connection.end_of_message(config, source, kNow), shown);
  return 0;
}
