// The table in which observer and filter meet. For each session it has the traces of the messages
// that have ended and that Postfix has not answered yet. All threads of the observer share it.
//
// The observer adds a trace when it has seen the message's last byte, before that byte is passed on
// to Postfix. The trace is removed when Postfix's reply passes back. Between these two moments the
// filter asks for it. A session that ends with unanswered messages is kept for the linger time,
// because Postfix may still be processing them.
//
// A question gets the trace of the message that Postfix is processing, or none. Two things must be
// certain:
//
// Which session. It is known by the addresses of client and server, and by the time. Postfix
// contacts the filter after the proxy has connected to Postfix and before Postfix's greeting has
// passed. So two sessions with the same addresses, one after the other, are distinguished even if
// the last message of the first is still with Postfix.
//
// Which message. Any message that has ended and is not answered is possible: with BDAT a client can
// send many at once, and Postfix asks no milter about those that it refuses. What the filter was
// shown must fit one of these messages and contradict all others (classifier/message_sizes.h). For
// this comparison a trace that does not fit into the table leaves a marker in its place. While the
// observer has not understood everything that Postfix may have read, no trace is returned.
//
// The table is bounded. At a limit it drops evidence. It never blocks and never costs any mail.
// Safe from any thread.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <variant>

#include "classifier/message_sizes.h"
#include "classifier/observer.h"
#include "classifier/trace.h"
#include "milter/evidence/budget.h"
#include "milter/evidence/counters.h"
#include "milter/evidence/question.h"
#include "milter/evidence/tls_evidence.h"
#include "milter/net/address.h"

namespace evidence {

// A session as its observer identifies it.
struct SessionKey {
  net::Endpoint client;
  net::Endpoint server;               // the address that the client connected to
  std::uint64_t number = 0;           // unique among the sessions in the table
  steady_clock::time_point opened{};  // before the proxy connected to Postfix
};

class Table {
 public:
  // The number of traces that are kept for one session. A further trace leaves only a marker, until
  // older ones are answered. Chosen, not measured: several messages are unanswered only if a client
  // sends them with BDAT in one go. A larger value would let one client fill more memory.
  static constexpr std::size_t kMostTraces = 64;
  // The number of sessions with evidence for one client address and port; most of them have ended.
  // Chosen, not measured: a client rarely uses a port again within the linger time. If there are
  // more, questions about this port are not answered.
  static constexpr std::size_t kMostOfPort = 8;

  // At most `max_sessions` sessions have evidence at the same time. `max_bytes` limits the evidence
  // of the whole process, in this table and in its observers. Beyond it a trace becomes Unobserved,
  // reason Overload.
  Table(std::size_t max_sessions, std::chrono::seconds linger, std::size_t max_bytes = SIZE_MAX)
      : max_sessions_(max_sessions), linger_(linger), budget_(max_bytes) {}

  // Adds a session. Call it before a byte passes between the client and Postfix. Returns false if
  // there is no room; all later calls for this session then have no effect.
  bool open(const SessionKey& session);
  // Postfix's greeting is complete and has not been passed on yet.
  void greeted(const SessionKey& session, steady_clock::time_point now);
  void publish(const SessionKey& session, classifier::ObservedMessage&& message);
  // How the client has talked so far: bits as of classifier::words_of().
  void talks(const SessionKey& session, std::uint32_t words);
  // `is`: the observer cannot currently tell what the client has sent, so a message may have ended
  // that was not published.
  void behind(const SessionKey& session, bool is);
  // Postfix has answered message `ordinal`. It and all earlier ones are removed.
  void answered(const SessionKey& session, std::uint32_t ordinal);
  // The session is under TLS from now on. The returned object must be given both of its streams.
  // Returns null if the session was under TLS from its first byte, as submission is (RFC 8314,
  // 3.3), which must not be judged; or if there is no such session.
  std::shared_ptr<TlsEvidence> follow(const SessionKey& session, classifier::TlsLog::Start&& start,
                                      classifier::ArrivalLog&& arrivals);
  // The evidence of this session is incomplete from now on. Its unanswered messages are dropped
  // too, because the observer will not see when they are answered.
  void lost(const SessionKey& session, classifier::Reason reason);
  void close(const SessionKey& session, steady_clock::time_point now);

  // Returns the trace of the message in question, or the reason why there is none.
  std::variant<classifier::Trace, classifier::Reason> find(const Question& question) const;

  // Returns the words for how the client of this session has talked so far, or the reason why none
  // is known. Words that were seen stay true when the evidence becomes incomplete; that there were
  // no others is then not known, so without any word it is the reason that is returned.
  std::variant<std::uint32_t, classifier::Reason> talk(const SessionQuestion& question) const;

  // Removes closed sessions whose linger time is over. If the budget is exceeded, also drops the
  // evidence of the closed sessions that hold most.
  void expire(steady_clock::time_point now);

  std::size_t size() const { return size_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // Brings `counters` up to date. Call it from one thread only.
  void tell(Counters& counters);
  Budget& budget() { return budget_; }

 private:
  struct Ended {
    classifier::Trace trace;
    classifier::SeenSizes seen;
  };
  struct Entry {
    SessionKey session;
    steady_clock::time_point greeted = steady_clock::time_point::max();
    std::deque<Ended> messages;  // ended and not answered
    bool behind = false;
    std::uint32_t words = 0;  // of the dialogue so far
    std::shared_ptr<TlsEvidence> tls;
    classifier::Reason reason = classifier::Reason::None;
    steady_clock::time_point forget_at = steady_clock::time_point::max();
    Budget::Share share;  // covers the messages, and the log of a closed session
  };
  // The sessions of one client address and port, at most kMostOfPort.
  struct Port {
    std::list<Entry> entries;
    bool crowded = false;  // a session was dropped that Postfix may still ask about
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<net::Endpoint, Port> ports;
  };

  Shard& shard(const net::Endpoint& client) const;
  // Returns null if the session is not in the table. Requires: the shard's lock is held.
  static Entry* find_entry(Shard& shard, const SessionKey& session);
  static std::variant<const Entry*, classifier::Reason> session_of(const Port& port,
                                                                   const SessionQuestion& question);
  static std::variant<classifier::Trace, classifier::Reason> message_of(const Entry& entry,
                                                                        const Question& question);
  static bool unasked(const Entry& entry);
  static void give_up(Entry& entry, classifier::Reason reason);
  static std::size_t footprint(const Ended& ended);

  const std::size_t max_sessions_;
  const std::chrono::seconds linger_;
  Budget budget_;  // must outlive the entries
  // Sixteen shards with a lock each: chosen, not measured. By default at most eight workers use the
  // table, so two of them rarely need the same lock. Fewer would make them wait more often; more
  // would only take memory.
  mutable std::array<Shard, 16> shards_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::uint64_t told_refused_ = 0;
};

}  // namespace evidence
