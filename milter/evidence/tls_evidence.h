// The evidence of a session under TLS, shared by two threads: the worker adds what it sees, and the
// thread of the evidence socket asks where a message is. Safe from any thread. It may outlive the
// session in the table, because Postfix may still be processing the last message.
#pragma once

#include <mutex>
#include <variant>

#include "classifier/tls_log.h"
#include "milter/evidence/question.h"

namespace evidence {

class TlsEvidence final : public classifier::TlsStream {
 public:
  TlsEvidence(classifier::TlsLog::Start&& start, classifier::ArrivalLog&& arrivals)
      : log_(std::move(start), std::move(arrivals), nullptr) {}

  void segment(const classifier::Arrival& arrival) override {
    const std::lock_guard lock(mutex_);
    log_.segment(arrival);
  }
  void missed_some() override {
    const std::lock_guard lock(mutex_);
    log_.missed_some();
  }
  void client(std::span<const char> bytes) override {
    const std::lock_guard lock(mutex_);
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
  std::size_t memory_used() const override {
    const std::lock_guard lock(mutex_);
    return log_.memory_used();
  }

  std::variant<classifier::Trace, classifier::Reason> trace(const Question& question) {
    const std::lock_guard lock(mutex_);
    return log_.trace(question.shown, question.after + 1);
  }
  bool answered() const {
    const std::lock_guard lock(mutex_);
    return log_.answered();
  }

 private:
  mutable std::mutex mutex_;
  classifier::TlsLog log_;
};

}  // namespace evidence
