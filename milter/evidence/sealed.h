// A session under TLS between two threads: the worker puts in what it sees, the evidence socket's
// thread asks where a message lies. Safe from any thread; outlives the session in the table, since
// Postfix may still be at work on what came last.
#pragma once

#include <chrono>
#include <mutex>
#include <variant>

#include "classifier/sealed_log.h"
#include "milter/evidence/question.h"

namespace evidence {

class Sealed final : public classifier::SealedStream {
 public:
  Sealed(classifier::SealedLog::Start&& start, classifier::ArrivalLog&& arrivals)
      : wire_(start.via == classifier::Via::Wire),
        log_(std::move(start), std::move(arrivals), nullptr) {}

  void segment(const classifier::Arrival& arrival) override {
    const std::lock_guard lock(mutex_);
    if (wire_) log_.now(arrival.time_ns);
    log_.segment(arrival);
  }
  void missed_some() override {
    const std::lock_guard lock(mutex_);
    log_.missed_some();
  }
  void client(std::span<const char> bytes) override {
    const std::lock_guard lock(mutex_);
    // In the path of the bytes they come late where Postfix is slow to take them: what counts is
    // that they come now, and not when they arrived. The wire is read late, and in order.
    if (!wire_) log_.now(nanoseconds(steady_clock::now()));
    log_.client(bytes);
  }
  void server(std::span<const char> bytes) override {
    const std::lock_guard lock(mutex_);
    log_.server(bytes);
  }
  void finish() override {}
  bool lost() const override {
    const std::lock_guard lock(mutex_);
    return log_.lost();
  }
  std::uint64_t client_offset() const override {
    const std::lock_guard lock(mutex_);
    return log_.client_offset();
  }
  std::size_t held() const override {
    const std::lock_guard lock(mutex_);
    return log_.held();
  }

  std::variant<classifier::Trace, classifier::Reason> trace(const Question& question) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t mail_ns = question.mail_at ? nanoseconds(*question.mail_at) : 0;
    return log_.trace(question.shown, question.after + 1, mail_ns);
  }
  bool answered() const {
    const std::lock_guard lock(mutex_);
    return log_.answered();
  }

 private:
  static std::uint64_t nanoseconds(steady_clock::time_point time) {
    const auto since = std::chrono::nanoseconds(time.time_since_epoch());
    return static_cast<std::uint64_t>(since.count());
  }

  const bool wire_;
  mutable std::mutex mutex_;
  classifier::SealedLog log_;
};

}  // namespace evidence
