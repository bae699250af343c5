#include "milter/filter/service.h"

#include <fmt/format.h>

#include <bit>
#include <string>

#include "milter/evidence/client.h"
#include "milter/log/log.h"

namespace filter {
namespace {

// A place among those that may ask at the same time. False if the limit is reached.
class Place {
 public:
  Place(std::atomic<unsigned>& taken, unsigned limit) : taken_(taken), ok_(++taken_ <= limit) {}
  ~Place() { --taken_; }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  explicit operator bool() const { return ok_; }

 private:
  std::atomic<unsigned>& taken_;
  bool ok_;
};

// Chosen, not measured: often enough to see a change, rarely enough not to fill the log.
constexpr std::chrono::minutes kCountersEvery{5};

// The addresses that count as one sender: one IPv4 address, or an IPv6 /48, which holds 65,536
// /64s. All messages without an address count as one sender.
net::Endpoint sender(const std::optional<net::Endpoint>& client) {
  if (!client) return {};
  return client->is_v4() ? client->site() : client->network();
}

}  // namespace

std::shared_ptr<const config::Config> Service::settings() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

void Service::replace(std::shared_ptr<const config::Config> settings) {
  std::lock_guard lock(mutex_);
  settings_.swap(settings);
}

void Service::session_begins() {
  std::lock_guard lock(mutex_);
  ++sessions_;
}

void Service::session_ends() {
  std::lock_guard lock(mutex_);
  if (--sessions_ == 0) idle_.notify_all();
}

bool Service::wait_until_idle(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return idle_.wait_until(lock, deadline, [this] { return sessions_ == 0; });
}

void Service::settle(const config::Config& settings, const std::optional<net::Endpoint>& client,
                     Judgement& judgement, std::chrono::steady_clock::time_point now) {
  if (judgement.exempt == Exemption::None && !judgement.flood) {
    judgement.decision = through_breaker(settings, client, judgement.decision, now);
  }
  count(judgement);
}

policy::Decision Service::through_breaker(const config::Config& settings,
                                          const std::optional<net::Endpoint>& client,
                                          const policy::Decision& decision,
                                          std::chrono::steady_clock::time_point now) {
  std::lock_guard lock(breaker_mutex_);
  const auto& breaker = settings.breaker;
  const bool counts =
      !breaker.enabled ||
      !counted_.exceeded(sender(client), breaker.max_per_address, breaker.window, now);
  const bool refused = policy::is_refusal(decision.action);
  tell(counts ? breaker_.count(refused, breaker, now) : breaker_.tick(breaker, now), breaker);
  return breaker_.open() ? policy::suspended(decision) : decision;
}

bool Service::breaker_is_open() {
  std::lock_guard lock(breaker_mutex_);
  return breaker_.open();
}

void Service::tick(std::chrono::steady_clock::time_point now) {
  const auto settings = this->settings();
  {
    std::lock_guard lock(breaker_mutex_);
    tell(breaker_.tick(settings->breaker, now), settings->breaker);
  }
  if (now < next_log_) return;
  if (next_log_ != std::chrono::steady_clock::time_point{}) log_counters();
  next_log_ = now + kCountersEvery;
}

// Called under the breaker's mutex, so that the log lines are in the order of the changes.
void Service::tell(Breaker::Change change, const config::Breaker& settings) {
  if (change == Breaker::Change::None) return;
  counters_.breaker_open = breaker_.open();
  const Breaker::Shares shares = breaker_.shares(settings);
  const auto against = shares.long_term < 0 ? std::string("not known yet")
                                            : fmt::format("{:.1f}%", 100 * shares.long_term);
  const auto facts =
      fmt::format("{} of {} counted messages in the window ({:.1f}%; long-term share {})",
                  shares.refused, shares.messages, 100 * shares.now, against);
  switch (change) {
    case Breaker::Change::Tripped:
      ++counters_.breaker_trips;
      logging::warning("breaker open: rejections and deferrals are suspended for " +
                       fmt::format("{}s: ", settings.hold.count()) + facts);
      break;
    case Breaker::Change::Prolonged:
      logging::warning("breaker stays open: " + facts);
      break;
    case Breaker::Change::ClosedAgain:
      logging::warning("breaker closed: rejections and deferrals are carried out again: " + facts);
      break;
    case Breaker::Change::None:
      break;
  }
}

void Service::count(const Judgement& judgement) {
  using classifier::Action;
  Counters& counts = counters_;
  ++counts.messages;
  if (judgement.flood) {
    ++counts.flooded;
    return;
  }
  if (judgement.exempt == Exemption::Sealed) ++counts.sealed;
  if (judgement.from_relay && judgement.own != 0 && judgement.kept == 0) ++counts.seal_refused;
  if (judgement.exempt != Exemption::None) {
    ++counts.exempt;
    return;
  }
  ++counts.pattern[static_cast<std::size_t>(judgement.verdict.pattern)];
  if (judgement.basis == policy::Basis::Unobserved) ++counts.unobserved;
  if (judgement.basis == policy::Basis::Failed) ++counts.failed;
  switch (judgement.decision.action) {
    case Action::Tempfail:
      ++counts.tempfail;
      break;
    case Action::Quarantine:
      ++counts.quarantine;
      break;
    case Action::Reject:
      ++counts.reject;
      break;
    case Action::None:
      break;
  }
  policy::count_held(judgement.decision.held, counts);
}

void Service::log_counters() {
  std::vector<std::uint64_t> counts;
  std::vector<logging::Fact> facts;
  for (const auto& family : describe(counters_)) {
    for (const auto& sample : family.samples) {
      if (sample.log.empty()) continue;
      counts.push_back(*sample.count);
      facts.push_back({sample.log, std::to_string(counts.back()), true});
    }
  }
  std::lock_guard lock(log_mutex_);
  if (counts == logged_ || counts.front() == 0) return;
  logged_ = std::move(counts);
  logging::event(logging::Level::Info, "", "counters", facts);
}

void Service::failed(std::string_view what) noexcept try {
  const std::uint64_t count = ++counters_.callback_failures;
  if (!std::has_single_bit(count)) return;
  logging::error("milter callback failed (" + std::to_string(count) +
                 " so far), the mail goes on unlabelled: " + std::string(what));
} catch (...) {
  // There is no memory to log it. Nothing more can be done, and mail must flow.
}

classifier::Trace BoundedEvidence::ask(const evidence::Question& question) {
  const Place place(service_.in_flight_, settings_.filter.max_in_flight);
  if (!place) return classifier::unobserved(classifier::Reason::Busy, question.after + 1);
  const evidence::Client observer(settings_.evidence.socket, settings_.filter.evidence_timeout);
  return observer.ask(question);
}

}  // namespace filter
