#include "milter/proxy/admission.h"

#include <algorithm>
#include <utility>

namespace proxy {
namespace {

// RFC 3463, 3.4: the system is full. RFC 3463, 3.8: a policy about this client.
constexpr std::string_view kFull = "421 4.3.2 Too many connections, try again later\r\n";
constexpr std::string_view kTooMany = "421 4.7.0 Too many connections from your address\r\n";
constexpr std::string_view kTooManyOfNetwork =
    "421 4.7.0 Too many connections from your network\r\n";
constexpr std::string_view kTooFast = "421 4.7.0 Too many new connections from your address\r\n";

using Tally = std::unordered_map<net::Endpoint, unsigned>;

bool has(const Tally& tally, const net::Endpoint& who, unsigned most) {
  const auto found = tally.find(who);
  return found != tally.end() && found->second >= most;
}

void take_one(Tally& tally, const net::Endpoint& who) {
  const auto found = tally.find(who);
  if (found != tally.end() && --found->second == 0) tally.erase(found);
}

// By default no network can take all sessions, and none is refused while half of them are free.
unsigned most_of_network(const config::Proxy& limits) {
  return limits.max_sessions_per_network != 0 ? limits.max_sessions_per_network
                                              : std::max(1U, limits.max_sessions / 2);
}

}  // namespace

Refusal refusal(Admission::Answer answer, Counters& counters) {
  switch (answer) {
    case Admission::Answer::TooManyOfAddress:
      return {kTooMany, counters.refused_address};
    case Admission::Answer::TooManyOfNetwork:
      return {kTooManyOfNetwork, counters.refused_network};
    case Admission::Answer::TooFast:
      return {kTooFast, counters.refused_rate};
    case Admission::Answer::Admitted:  // not refused; the caller excludes it
    case Admission::Answer::Full:
      break;
  }
  return {kFull, counters.refused_full};
}

Admission::Place::Place(Place&& other) noexcept
    : admission_(std::exchange(other.admission_, nullptr)),
      client_(std::exchange(other.client_, std::nullopt)) {}

Admission::Place::~Place() {
  if (admission_ == nullptr) return;
  const std::lock_guard lock(admission_->mutex_);
  admission_->leave(client_);
}

Admission::Answer Admission::Place::name(const net::Endpoint& client, const config::Proxy& limits,
                                         steady_clock::time_point now) {
  const std::lock_guard lock(admission_->mutex_);
  const auto answer = admission_->count(client, limits, now);
  if (answer == Answer::Admitted) client_ = client;
  return answer;
}

Admission::Entry Admission::enter(const net::Endpoint& client, const config::Proxy& limits,
                                  steady_clock::time_point now) {
  const std::lock_guard lock(mutex_);
  Entry entry;
  if (sessions_ >= limits.max_sessions) return entry;
  entry.answer = count(client, limits, now);
  if (entry.answer != Answer::Admitted) return entry;
  take(entry.place);
  entry.place.client_ = client;
  return entry;
}

Admission::Entry Admission::enter_unnamed(const config::Proxy& limits) {
  const std::lock_guard lock(mutex_);
  Entry entry;
  if (sessions_ >= limits.max_sessions) return entry;
  entry.answer = Answer::Admitted;
  take(entry.place);
  return entry;
}

Admission::Answer Admission::count(const net::Endpoint& client, const config::Proxy& limits,
                                   steady_clock::time_point now) {
  const net::Endpoint site = client.site();
  const net::Endpoint network = client.network();
  if (has(of_address_, site, limits.max_sessions_per_address)) return Answer::TooManyOfAddress;
  if (has(of_network_, network, most_of_network(limits))) return Answer::TooManyOfNetwork;
  const unsigned a_minute = limits.max_rate_per_address;
  if (a_minute != 0 && rates_.exceeded(site, a_minute, std::chrono::minutes(1), now)) {
    return Answer::TooFast;
  }
  ++of_address_[site];
  ++of_network_[network];
  return Answer::Admitted;
}

void Admission::take(Place& place) {
  ++sessions_;
  place.admission_ = this;
}

void Admission::leave(const std::optional<net::Endpoint>& client) {
  --sessions_;
  if (!client) return;
  take_one(of_address_, client->site());
  take_one(of_network_, client->network());
}

std::size_t Admission::rates() const {
  const std::lock_guard lock(mutex_);
  return rates_.size();
}

std::size_t Admission::sessions() const {
  const std::lock_guard lock(mutex_);
  return sessions_;
}

}  // namespace proxy
