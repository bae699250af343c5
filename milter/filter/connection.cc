#include "milter/filter/connection.h"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

#include "classifier/smtp_words.h"
#include "classifier/stream.h"
#include "milter/filter/header.h"

namespace filter {

void Connection::mail(std::string_view path, std::string_view login, bool tls) {
  message_ = {};
  message_.shown.mail(path);
  message_.authenticated = !login.empty();
  message_.tls = tls;
}

void Connection::mail_parameter(std::string_view parameter) {
  message_.shown.mail_parameter(parameter);
  classifier::note_mail_parameter(parameter, message_.parameters);
}

void Connection::header(std::string_view name, std::string_view value, bool blank_taken) {
  message_.own.field(name, value);
  const unsigned own = message_.own.count();
  if (is_own_header(name) && own <= kMostSeals && value.size() <= seal::kMostValue) {
    message_.own_values.resize(own);
    message_.own_values.back() = value;
  }
  message_.identity.field(name, value);
  message_.shown.header(name, value, blank_taken);
  if (!blank_taken && value.starts_with(' ')) value.remove_prefix(1);
  message_.claims.header(name, value);
}

bool Connection::wants_body(const config::Config& settings) const {
  return settings.filter.count_body && (message_.tls || !settings.wire.ports.empty());
}

// If the window has exactly the size that was shown, or that size without fields that Postfix or a
// policy service has added, the landmarks are known to the byte. Otherwise they are known
// approximately: `miss` says by how many bytes they may be wrong, and the classifier takes that
// into account.
void Connection::place_text(const Shown& shown, classifier::Trace& trace) {
  using classifier::Window;
  const classifier::ShownSizes sizes = shown.sizes();
  if (!sizes.body) return;
  const auto added = trace.hello.slack == 0 ? classifier::explain(sizes, trace.size, trace.transfer)
                                            : std::nullopt;
  if (added) {
    trace.window = Window::Exact;
    trace.miss = 0;
    trace.landmarks = shown.landmarks(trace.transfer, *added);
  } else {
    trace.window = Window::Near;
    trace.landmarks = shown.landmarks(trace.transfer);
  }
}

// On the wire the commands were read and the end of the message was seen, but not the text. The
// size shows whether it is this message, and whether the landmarks are known to the byte.
void Connection::fit_to_shown(const Shown& shown, classifier::Trace& trace) {
  trace.window = classifier::Window::Near;
  const auto size = shown.size(trace.transfer);
  if (!size) return;
  trace.miss = classifier::distance(trace.size, *size);
  place_text(shown, trace);
  if (trace.miss > classifier::most_miss(*size)) {
    trace = classifier::unobserved(classifier::Reason::Lost, trace.message);
  }
}

// Under TLS and on the wire only the milter has read the text.
void Connection::add_what_was_shown(const Message& message, classifier::Trace& trace) {
  const Shown& shown = message.shown;
  const classifier::Dialogue& parameters = message.parameters;
  const bool seen = trace.state != classifier::State::Unobserved;
  if (trace.via == classifier::Via::Wire && !trace.tls && seen) return fit_to_shown(shown, trace);
  if (!trace.tls || trace.records.empty()) return;
  // With BDAT, `near` means that it is not known whether QUIT belongs to the window. The message
  // may then lie six bytes earlier, so its text is not placed.
  const bool sure =
      trace.window == classifier::Window::Exact || trace.transfer == classifier::Transfer::Data;
  if (sure) place_text(shown, trace);
  trace.dialogue.blank_end = trace.transfer == classifier::Transfer::Data && shown.blank_end();
  trace.dialogue.declared = parameters.declared;
  trace.dialogue.eight_bit = parameters.eight_bit;
  trace.dialogue.seven_bit = parameters.seven_bit;
  trace.dialogue.body_first = parameters.body_first;
  trace.dialogue.dsn = parameters.dsn;
}

// Looks for the first header from the top that a relay on the list has sealed for this message.
void Connection::check_seals(const Message& message, const config::Seal& settings,
                             seal::Seconds now, Judgement& result) const {
  result.from_relay = client_ && net::contains(settings.believe_from, *client_);
  if (!result.from_relay) return;
  result.exempt = Exemption::Relay;
  const auto& values = message.own_values;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto verdict =
        seal::check(values[i], message.identity.digest(), settings.keys, now, settings.max_age);
    if (i == 0 || verdict == seal::Result::Good) result.seal = verdict;
    if (verdict != seal::Result::Good) continue;
    result.kept = static_cast<unsigned>(i) + 1;
    result.exempt = Exemption::Sealed;
    return;
  }
}

const classifier::Policy& Connection::thresholds(const config::Config& settings) const {
  const auto* own = listener(settings);
  return own != nullptr ? own->policy : settings.policy;
}

// Asks for the evidence, and classifies it.
void Connection::judge(const Message& message, const config::Config& settings,
                       EvidenceSource& source, Judgement& result) {
  // Each end of message counts as one message of the session, even if no evidence came for it.
  // Without this count the next question would be answered with the trace of the message before.
  const std::uint32_t after = judged_++;
  if (client_) {
    constexpr std::string_view kEhlo = "EHLO \r\n";
    classifier::ShownSizes shown = message.shown.sizes();
    // After STARTTLS a client may go on without another EHLO.
    if (helo_under_tls_) shown.greeting = kEhlo.size() + helo_.size();
    result.trace = source.ask({.client = *client_,
                               .server = server_,
                               .began = began_,
                               .after = after,
                               .shown = std::move(shown)});
  } else {
    result.trace = classifier::unobserved(classifier::Reason::NoSession, after + 1);
  }
  add_what_was_shown(message, result.trace);
  result.in_front =
      fields_in_front(message.shown.landmarks(result.trace.transfer), result.trace.landmarks);
  // The observer also counts messages that Postfix refused and never showed to us.
  judged_ = std::max(judged_, result.trace.message);
  result.verdict = classifier::classify(result.trace, thresholds(settings), &message.claims);
}

// The classifier judges the message, and what is known of its client comes on top: the score stays
// the sum of its reasons. The reputation is asked now and not when the client connects. The gait is
// a part of the question and is known only now, and after a session of hours another answer would be
// old. It confirms nothing: what a message teaches has none of these terms (memory/teaching.h).
void Connection::add_standing(const config::Config& settings, const reputation::Reader& reputations,
                              seal::Seconds now, Judgement& result) const {
  auto& verdict = result.verdict;
  result.standing = reputations.look_up(*client_, verdict.gait, reputation::Time(now));
  if (!result.standing) return;
  const auto whole = [](double messages) {
    return static_cast<std::uint32_t>(std::min(std::round(messages), 4e9));
  };
  for (const auto& level : result.standing->levels) {
    if (level.delta == 0) continue;
    verdict.reasons.add_added({.kind = reputation::name(level.kind),
                               .name = level.name,
                               .weight = level.delta,
                               .bad = whole(level.spam),
                               .all = whole(level.total),
                               .days = static_cast<std::uint32_t>(level.half_life.count())});
  }
  verdict.score += result.standing->term;
  verdict.asks = classifier::action_for(verdict, thresholds(settings));
}

void Connection::decide_on(const config::Config& settings, Judgement& result) const {
  const auto* own = listener(settings);
  const config::Enforcement& enforcement = own != nullptr ? own->enforcement : settings.enforcement;
  if (own != nullptr) result.listener = own->name;
  const unsigned place =
      policy::rollout_place(client_ ? &*client_ : nullptr, enforcement.percent_key);
  result.basis = policy::basis_of(result.trace, result.verdict.pattern);
  result.decision =
      policy::decide(result.verdict, result.basis, thresholds(settings), enforcement, place);
}

Judgement Connection::end_of_message(const config::Config& settings, EvidenceSource& source,
                                     seal::Seconds now, const reputation::Reader* reputations) {
  Message message = std::exchange(message_, {});
  message.claims.helo = helo_.substr(0, classifier::Claims::kLongest);
  Judgement result;
  check_seals(message, settings.seal, now, result);
  if (result.exempt == Exemption::None) {
    result.exempt =
        exemption_of({client_, client_name_, helo_, message.authenticated}, settings.exempt);
  }
  result.delete_forged = deletes_forged(result.exempt);
  result.identity = message.identity.digest();
  result.tls = message.tls;
  result.own = message.own.count();
  result.flood = result.delete_forged && message.own.too_many();
  if (result.exempt != Exemption::None || result.flood) {
    ++judged_;
    return result;
  }
  // An exception here (out of memory, for example) costs the label, but the forged headers are
  // still deleted.
  try {
    judge(message, settings, source, result);
    if (client_ && reputations != nullptr && settings.reputation.enabled) {
      add_standing(settings, *reputations, now, result);
    }
  } catch (const std::exception& error) {
    result.failure = error.what();
    result.verdict = {};
    result.trace = classifier::unobserved(classifier::Reason::Error, judged_);
  }
  // Mail that a content filter returns over loopback was labelled when it first came. Other local
  // mail did not come from outside.
  if (client_ && client_->is_loopback() && result.trace.reason == classifier::Reason::NoSession) {
    result.exempt = Exemption::Loopback;
    result.delete_forged = false;
    return result;
  }
  decide_on(settings, result);
  return result;
}

}  // namespace filter
