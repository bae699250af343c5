// What all milter sessions share: the configuration of the moment, the limits, the counts. Safe
// from any thread.
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
#include "milter/net/pace.h"

namespace filter {

class Service {
 public:
  // `counters` goes on from where a filter before this one left it. It outlives the service.
  // `sinks` are given the record of each message, in this order; they outlive it too.
  Service(std::shared_ptr<const config::Config> settings, Counters& counters,
          std::vector<RecordSink*> sinks = {})
      : counters_(counters), sinks_(std::move(sinks)), settings_(std::move(settings)) {
    counters_.breaker_open = breaker_.open();
  }

  // A message is judged by one configuration from beginning to end: take it once.
  std::shared_ptr<const config::Config> settings() const;
  void replace(std::shared_ptr<const config::Config> settings);

  void session_begins();
  void session_ends();
  // True when no session is left, false when some are at the deadline.
  bool wait_until_idle(std::chrono::steady_clock::time_point deadline);

  // The last word on a message of `client`: the breaker counts what was decided, up to
  // breaker.max_per_address, and suspends it while it is open. Then what was done is counted.
  void settle(const config::Config& settings, const std::optional<net::Endpoint>& client,
              Judgement& judgement, std::chrono::steady_clock::time_point now);
  // Sends the record of a message on.
  void send(const Record& record, const config::Config& settings) {
    for (auto* sink : sinks_) sink->take(record, settings);
  }
  // So many headers of our name were deleted of a message.
  void deleted(unsigned headers) { counters_.forged += headers; }
  // Time passes: the breaker may close, and every five minutes the counters are logged.
  void tick(std::chrono::steady_clock::time_point now);
  // One line, if anything was counted since the last one.
  void log_counters();

  // An exception came to the C boundary: counted, and told in the log at 1, 2, 4, 8, … so that a
  // message that always fails cannot fill the disk.
  void failed(std::string_view what) noexcept;

 private:
  friend class BoundedEvidence;

  void tell(Breaker::Change change, const config::Breaker& settings);
  void count(const Judgement& judgement);

  mutable std::mutex mutex_;
  std::mutex breaker_mutex_;
  Breaker breaker_;
  net::Pace counted_;  // by the breaker, of each sender
  Counters& counters_;
  const std::vector<RecordSink*> sinks_;  // borrowed
  std::mutex log_mutex_;
  std::vector<std::uint64_t> logged_;  // counts of the last line
  std::chrono::steady_clock::time_point next_log_{};
  std::condition_variable idle_;
  std::shared_ptr<const config::Config> settings_;  // not atomic<shared_ptr>: libstdc++ 12 has a
                                                    // lock inside that ThreadSanitizer reports
  unsigned sessions_ = 0;
  std::atomic<unsigned> in_flight_{0};
};

// The evidence socket, behind the limit of questions at a time: libmilter starts as many threads as
// there are sessions with something to do, so the limit has to be ours.
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
