// What all milter sessions share: the current configuration, the limits and the counters. Safe from
// any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "milter/config/config.h"
#include "milter/filter/breaker.h"
#include "milter/filter/connection.h"
#include "milter/filter/counters.h"
#include "milter/filter/record.h"
#include "milter/filter/sessions.h"
#include "milter/net/pace.h"

namespace filter {

class Service {
 public:
  // `counters` go on from where the previous filter process left them. They must outlive the
  // service, and so must `sinks`, which get the record of each message in this order, and
  // `reputations`, which may be null.
  Service(std::shared_ptr<const config::Config> settings, Counters& counters,
          std::vector<RecordSink*> sinks = {}, const reputation::Reader* reputations = nullptr)
      : counters_(counters),
        sinks_(std::move(sinks)),
        reputations_(reputations),
        settings_(std::move(settings)) {
    counters_.breaker_open = breaker_.open();
  }

  // A message is judged by one configuration from beginning to end, so call this once for a
  // message.
  std::shared_ptr<const config::Config> settings() const;
  void replace(std::shared_ptr<const config::Config> settings);

  const reputation::Reader* reputations() const { return reputations_; }

  void session_begins();
  void session_ends();
  // True: no session is left. False: some are left at the deadline.
  bool wait_until_idle(std::chrono::steady_clock::time_point deadline);

  // The final decision about a message of `client`. The breaker counts it, up to
  // breaker.max_per_address, and suspends the action while it is open. Then the action is counted.
  void settle(const config::Config& settings, const std::optional<net::Endpoint>& client,
              Judgement& judgement, std::chrono::steady_clock::time_point now);
  // The same for an answer of the policy service that refuses or defers. Answers that do neither
  // are not for this: the message is counted when it has come.
  policy::Decision through_breaker(const config::Config& settings,
                                   const std::optional<net::Endpoint>& client,
                                   const policy::Decision& decision,
                                   std::chrono::steady_clock::time_point now);
  bool breaker_is_open();
  // The open milter sessions, among which the policy service looks.
  Sessions& sessions() { return open_; }
  // Passes the record of a message to all sinks.
  void send(const Record& record, const config::Config& settings) {
    for (auto* sink : sinks_) sink->take(record, settings);
  }
  // Counts an answer at the end of a message, by the time that it took.
  void answered(std::chrono::steady_clock::duration took) { counters_.count_answer(took); }
  // Counts headers of our name that were deleted from a message.
  void deleted(unsigned headers) { counters_.forged += headers; }
  // To be called about once a second: the breaker may close, and every five minutes the counters
  // are logged.
  void tick(std::chrono::steady_clock::time_point now);
  // Writes one line, if any counter has changed since the last one.
  void log_counters();

  // An exception reached the C boundary. It is counted, and logged at the counts 1, 2, 4, 8, … so
  // that a message that always fails cannot fill the disk.
  void failed(std::string_view what) noexcept;

 private:
  friend class BoundedEvidence;

  void tell(Breaker::Change change, const config::Breaker& settings);
  void count(const Judgement& judgement);

  mutable std::mutex mutex_;
  std::mutex breaker_mutex_;
  Breaker breaker_;
  net::Pace counted_;  // what the breaker counted of each sender
  Counters& counters_;
  const std::vector<RecordSink*> sinks_;  // borrowed
  const reputation::Reader* const reputations_;
  std::mutex log_mutex_;
  std::vector<std::uint64_t> logged_;  // the counters in the last line
  std::chrono::steady_clock::time_point next_log_{};
  std::condition_variable idle_;
  Sessions open_;  // those that are open, if there is a policy service
  // Not atomic<shared_ptr>: in libstdc++ 12 it contains a lock that ThreadSanitizer reports.
  std::shared_ptr<const config::Config> settings_;
  unsigned sessions_ = 0;
  std::atomic<unsigned> in_flight_{0};
};

// The evidence socket with a limit on questions at a time. libmilter starts a thread for each
// session that has something to do, so it sets no limit itself.
class BoundedEvidence : public EvidenceSource {
 public:
  BoundedEvidence(Service& service, const config::Config& settings)
      : service_(service), settings_(settings) {}
  classifier::Trace ask(const evidence::Question& question) override;

 private:
  Service& service_;
  const config::Config& settings_;
};

}  // namespace filter
