// Where proxy and filter meet: traces of messages that have ended and are not answered yet, under
// the client's address and port. The only object that the proxy's threads share.
//
// A trace comes when the message's last byte was seen, before that byte goes on to Postfix; it goes
// when Postfix's answer passes back. In between the filter asks. A session that ends with
// unanswered messages lingers, because Postfix may still be at work on them.
//
// Bounded: at its limits it drops evidence, never blocks and never costs a byte of mail.
// Safe from any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <variant>

#include "classifier/trace.h"
#include "milter/evidence/budget.h"
#include "milter/evidence/counters.h"
#include "milter/evidence/sealed.h"
#include "milter/net/address.h"

namespace evidence {

using std::chrono::steady_clock;

class Table {
 public:
  // At most `max_sessions` clients have evidence at a time. `max_bytes`: what all evidence of the
  // process may take, here and with its observers; a trace beyond says Unobserved, Overload.
  Table(std::size_t max_sessions, std::chrono::seconds linger, std::size_t max_bytes = SIZE_MAX)
      : max_sessions_(max_sessions), linger_(linger), budget_(max_bytes) {}

  // `session` tells two sessions apart that had the same address and port one after the other.
  void publish(const net::Endpoint& client, std::uint64_t session, classifier::Trace&& trace);
  // Postfix answered message `ordinal`: it and those before it are not asked for any more.
  void answered(const net::Endpoint& client, std::uint64_t session, std::uint32_t ordinal);
  // The session is under TLS from here on: `sealed` knows where a message lies.
  void seal(const net::Endpoint& client, std::uint64_t session, std::shared_ptr<Sealed> sealed);
  // The same for a session of an observer, which is to give it the streams. Null: it was TLS from
  // its first byte on, as submission is (RFC 8314, 3.3), which is not to be judged.
  std::shared_ptr<Sealed> follow(const net::Endpoint& client, std::uint64_t session,
                                 classifier::SealedLog::Start&& start,
                                 classifier::ArrivalLog&& arrivals);
  // Nothing more can be told of this session. Ambiguous: the last message may not have ended where
  // it was said to, and is taken back.
  void lost(const net::Endpoint& client, std::uint64_t session, classifier::Reason reason);
  void close(const net::Endpoint& client, std::uint64_t session, steady_clock::time_point now);

  // The first trace above `after`, or why there is none. `sizes`: what the milter was shown of the
  // message, for a session under TLS.
  std::variant<classifier::Trace, classifier::Reason> find(
      const net::Endpoint& client, std::uint32_t after,
      const classifier::ShownSizes& sizes = {}) const;

  // Forgets closed sessions whose linger time is over.
  void expire(steady_clock::time_point now);

  std::size_t size() const { return size_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // Brings `counters` up to date. One thread.
  void tell(Counters& counters);
  Budget& budget() { return budget_; }

 private:
  static constexpr std::size_t kMaxUnanswered = 16;  // BDAT can pipeline whole messages

  struct Entry {
    std::uint64_t session = 0;
    std::deque<classifier::Trace> traces;
    std::shared_ptr<Sealed> sealed;
    classifier::Reason reason = classifier::Reason::None;
    steady_clock::time_point forget_at = steady_clock::time_point::max();
    Budget::Share share;  // of the traces, and of a closed session's log
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<net::Endpoint, Entry> entries;
  };

  Shard& shard(const net::Endpoint& client) const;
  // The session's entry, made if need be; null when the table is full. Requires: the shard's lock.
  Entry* entry(Shard& shard, const net::Endpoint& client, std::uint64_t session);
  static classifier::Trace pop_front(Entry& entry);

  const std::size_t max_sessions_;
  const std::chrono::seconds linger_;
  Budget budget_;  // outlives the entries
  mutable std::array<Shard, 16> shards_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::uint64_t told_refused_ = 0;
};

}  // namespace evidence
