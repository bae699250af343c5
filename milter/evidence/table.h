// Where observer and filter meet: traces of messages that have ended and are not answered yet, by
// session. The only object that the proxy's threads share.
//
// A trace comes when the message's last byte was seen, before that byte goes on to Postfix; it goes
// when Postfix's answer passes back. In between the filter asks. A session that ends with
// unanswered messages lingers, because Postfix may still be at work on them.
//
// A question gets the trace of the very message that Postfix is at work on, or none. Two things
// have to be sure:
//
// Which session. Client and server address, and the time: Postfix turns to its filter for a session
// behind the moment in which it was connected to and before its greeting has passed. So two
// sessions of the same addresses, one behind the other, are told apart although the first one's
// last message is still with Postfix.
//
// Which message. All that have ended and are not answered can be it: with BDAT a client may send
// many in one go, and Postfix says nothing, and asks nobody, about those that it refuses. What the
// filter was shown has to fit one of them and contradict the others
// (classifier/message_sizes.h). For that a trace that there is no room for leaves a marker in its
// place, and nothing is dropped in silence. While the observer has not understood all that Postfix
// may have read, none is given.
//
// Bounded: at its limits it drops evidence, never blocks and never costs a byte of mail.
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

// A session, as its observer knows it.
struct SessionKey {
  net::Endpoint client;
  net::Endpoint server;               // whom the client called
  std::uint64_t number = 0;           // that no other session of the table has
  steady_clock::time_point opened{};  // before Postfix was connected to
};

class Table {
 public:
  // Traces of a session that are kept whole; of later ones only the marker, until some are
  // answered.
  static constexpr std::size_t kMostTraces = 64;
  // Sessions between one client port and us that have evidence at a time, most of them over.
  static constexpr std::size_t kMostOfPort = 8;

  // At most `max_sessions` sessions have evidence at a time. `max_bytes`: what all evidence of the
  // process may take, here and with its observers; a trace beyond says Unobserved, Overload.
  Table(std::size_t max_sessions, std::chrono::seconds linger, std::size_t max_bytes = SIZE_MAX)
      : max_sessions_(max_sessions), linger_(linger), budget_(max_bytes) {}

  // A session begins; to be called before a byte of it has passed to or from Postfix. False: there is no room, and
  // nothing that is said of it later has any effect.
  bool open(const SessionKey& session);
  // Postfix's greeting is over, and has not been passed on yet.
  void greeted(const SessionKey& session, steady_clock::time_point now);
  void publish(const SessionKey& session, classifier::ObservedMessage&& message);
  // The observer cannot tell yet what the client has said, or can again: in the meantime a message
  // may have ended that was not published.
  void behind(const SessionKey& session, bool is);
  // Postfix answered message `ordinal`: it and those before it are not asked for any more.
  void answered(const SessionKey& session, std::uint32_t ordinal);
  // The session is under TLS from here on, and what is returned wants its streams. Null: it was TLS
  // from its first byte on, as submission is (RFC 8314, 3.3), which is not to be judged; or there
  // is no such session.
  std::shared_ptr<TlsEvidence> follow(const SessionKey& session, classifier::TlsLog::Start&& start,
                                      classifier::ArrivalLog&& arrivals);
  // Nothing more can be told of this session, nor of its messages that are not answered: when they
  // are will not be seen.
  void lost(const SessionKey& session, classifier::Reason reason);
  void close(const SessionKey& session, steady_clock::time_point now);

  // The trace of the message in question, or why there is none.
  std::variant<classifier::Trace, classifier::Reason> find(const Question& question) const;

  // Forgets closed sessions whose linger time is over, and, where the budget is exceeded, what those
  // keep that keep most.
  void expire(steady_clock::time_point now);

  std::size_t size() const { return size_.load(std::memory_order_relaxed); }
  std::uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }
  // Brings `counters` up to date. One thread.
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
    std::deque<Ended> messages;  // not answered
    bool behind = false;
    std::shared_ptr<TlsEvidence> tls;
    classifier::Reason reason = classifier::Reason::None;
    steady_clock::time_point forget_at = steady_clock::time_point::max();
    Budget::Share share;  // of the messages, and of a closed session's log
  };
  // Of one client port. At most kMostOfPort.
  struct Port {
    std::list<Entry> entries;
    bool crowded = false;  // one was dropped that may still be asked for
  };
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<net::Endpoint, Port> ports;
  };

  Shard& shard(const net::Endpoint& client) const;
  // Null: it is not there. Requires: the shard's lock.
  static Entry* find_entry(Shard& shard, const SessionKey& session);
  static std::variant<const Entry*, classifier::Reason> session_of(const Port& port,
                                                                   const Question& question);
  static std::variant<classifier::Trace, classifier::Reason> message_of(const Entry& entry,
                                                                        const Question& question);
  static bool unasked(const Entry& entry);
  static void give_up(Entry& entry, classifier::Reason reason);
  static std::size_t footprint(const Ended& ended);

  const std::size_t max_sessions_;
  const std::chrono::seconds linger_;
  Budget budget_;  // outlives the entries
  mutable std::array<Shard, 16> shards_;
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint64_t> refused_{0};
  std::uint64_t told_refused_ = 0;
};

}  // namespace evidence
