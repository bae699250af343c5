#include "milter/filter/connection.h"

#include <algorithm>
#include <utility>

#include "milter/filter/header.h"

namespace filter {

std::string_view name(Exemption exemption) {
  switch (exemption) {
    case Exemption::None:
      return "none";
    case Exemption::Authenticated:
      return "authenticated";
    case Exemption::Loopback:
      return "loopback";
    case Exemption::OwnNetwork:
      return "own-network";
  }
  return "none";
}

void Connection::mail(std::string_view login, bool tls) {
  begin_message();
  authenticated_ = !login.empty();
  tls_ = tls;
}

void Connection::header(std::string_view name, std::string_view value) {
  if (is_own_header(name)) ++forged_;
  claims_.header(name, value);
}

void Connection::begin_message() {
  authenticated_ = false;
  tls_ = false;
  forged_ = 0;
  claims_ = {};
}

Exemption Connection::exemption(const config::Exempt& settings) const {
  if (settings.authenticated && authenticated_) return Exemption::Authenticated;
  if (!client_) return Exemption::None;
  if (settings.loopback && client_->is_loopback()) return Exemption::Loopback;
  const bool own = std::any_of(settings.networks.begin(), settings.networks.end(),
                               [this](const net::Network& net) { return net.contains(*client_); });
  return own ? Exemption::OwnNetwork : Exemption::None;
}

Judgement Connection::end_of_message(const config::Config& settings, EvidenceSource& source) {
  Judgement result;
  result.exempt = exemption(settings.exempt);
  result.tls = tls_;
  result.forged = forged_;
  classifier::Claims claims = std::move(claims_);
  claims.helo = helo_.substr(0, classifier::Claims::kLongest);
  begin_message();
  // Each end of message is one message of the session, also when no evidence came for it: without
  // this count the next question would be answered with the trace of the one before.
  const std::uint32_t after = judged_++;
  if (result.exempt != Exemption::None) return result;
  result.trace = client_ ? source.ask(*client_, after)
                         : classifier::unobserved(classifier::Reason::NoSession, after + 1);
  // The observer also counts messages that Postfix refused and never showed to us.
  judged_ = std::max(judged_, result.trace.message);
  result.verdict = classifier::classify(result.trace, settings.policy, &claims);
  return result;
}

}  // namespace filter
