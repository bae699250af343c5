#include "milter/evidence/table.h"

#include <algorithm>
#include <utility>

namespace evidence {
namespace {

using classifier::Reason;
using classifier::Trace;

template <typename T>
std::size_t bytes_of(const std::vector<T>& items) {
  return items.capacity() * sizeof(T);
}

}  // namespace

std::size_t Table::footprint(const Ended& ended) {
  const Trace& trace = ended.trace;
  const classifier::SeenSizes& seen = ended.seen;
  return sizeof ended + bytes_of(trace.segments) + bytes_of(trace.records) +
         bytes_of(trace.chunk_begins) + bytes_of(trace.landmarks.fields) +
         bytes_of(trace.landmarks.folds) + trace.path.syn.capacity() + trace.hello.ja4.capacity() +
         bytes_of(seen.fields) + bytes_of(seen.envelope.mail) + bytes_of(seen.envelope.rcpt);
}

Table::Shard& Table::shard(const net::Endpoint& client) const {
  // Bits 24 to 27 of the hash choose the shard. The map inside a shard chooses its bucket from the
  // same hash, in the first place by the low bits. If the shard used the low bits too, all its keys
  // would be alike in them.
  return shards_[(std::hash<net::Endpoint>{}(client) >> 24) % shards_.size()];
}

Table::Entry* Table::find_entry(Shard& shard, const SessionKey& session) {
  const auto port = shard.ports.find(session.client);
  if (port == shard.ports.end()) return nullptr;
  for (Entry& entry : port->second.entries) {
    if (entry.session.number == session.number) return &entry;
  }
  return nullptr;
}

bool Table::open(const SessionKey& session) {
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  if (size_.load(std::memory_order_relaxed) >= max_sessions_) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  Port& port = place.ports[session.client];
  if (port.entries.size() == kMostOfPort) {
    // The dropped session may still have an unanswered message. A question about it could then get
    // another session's trace, so no question about this port is answered until all its sessions
    // are gone.
    port.crowded = true;
    port.entries.pop_front();
    size_.fetch_sub(1, std::memory_order_relaxed);
  }
  port.entries.push_back({.session = session, .share = Budget::Share(budget_)});
  size_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

void Table::greeted(const SessionKey& session, steady_clock::time_point now) {
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  if (Entry* entry = find_entry(place, session)) entry->greeted = now;
}

void Table::publish(const SessionKey& session, classifier::ObservedMessage&& message) {
  Ended ended{.seen = classifier::seen_sizes(message.trace, std::move(message.envelope))};
  ended.trace = std::move(message.trace);
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  Entry* entry = find_entry(place, session);
  if (entry == nullptr || entry->reason != Reason::None) return;
  const Reason short_of = budget_.exceeded()                      ? Reason::Overload
                          : entry->messages.size() >= kMostTraces ? Reason::Full
                                                                  : Reason::None;
  if (short_of != Reason::None) {
    ended.trace = classifier::unobserved(short_of, ended.trace.message);
  }
  entry->share.set(entry->share.bytes() + footprint(ended));
  entry->messages.push_back(std::move(ended));
}

void Table::talks(const SessionKey& session, std::uint32_t words) {
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  if (Entry* entry = find_entry(place, session)) entry->words = words;
}

void Table::behind(const SessionKey& session, bool is) {
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  if (Entry* entry = find_entry(place, session)) entry->behind = is;
}

void Table::answered(const SessionKey& session, std::uint32_t ordinal) {
  std::deque<Ended> done;  // declared before the lock, so freed after it is released
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  Entry* entry = find_entry(place, session);
  if (entry == nullptr) return;
  auto& messages = entry->messages;
  while (!messages.empty() && messages.front().trace.message <= ordinal) {
    done.push_back(std::move(messages.front()));
    messages.pop_front();
    entry->share.set(entry->share.bytes() - footprint(done.back()));
  }
}

std::shared_ptr<TlsEvidence> Table::follow(const SessionKey& session,
                                           classifier::TlsLog::Start&& start,
                                           classifier::ArrivalLog&& arrivals) {
  if (start.offset == 0) return nullptr;
  auto tls = std::make_shared<TlsEvidence>(std::move(start), std::move(arrivals));
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  Entry* entry = find_entry(place, session);
  if (entry == nullptr) return nullptr;
  entry->tls = tls;
  return tls;
}

void Table::lost(const SessionKey& session, Reason reason) {
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  Entry* entry = find_entry(place, session);
  if (entry == nullptr || entry->reason != Reason::None) return;
  give_up(*entry, reason);
}

void Table::give_up(Entry& entry, Reason reason) {
  entry.reason = reason;
  entry.tls.reset();
  entry.messages.clear();
  entry.share.set(0);
}

// True if no question about this session can come any more: Postfix asks only about messages that
// have ended.
bool Table::unasked(const Entry& entry) {
  return entry.messages.empty() && !entry.behind && entry.reason == Reason::None &&
         (entry.tls == nullptr || entry.tls->answered());
}

void Table::close(const SessionKey& session, steady_clock::time_point now) {
  Shard& place = shard(session.client);
  const std::lock_guard lock(place.mutex);
  Entry* entry = find_entry(place, session);
  if (entry == nullptr) return;
  if (unasked(*entry)) {
    const auto port = place.ports.find(session.client);
    port->second.entries.remove_if(
        [&](const Entry& other) { return other.session.number == session.number; });
    size_.fetch_sub(1, std::memory_order_relaxed);
    if (port->second.entries.empty()) place.ports.erase(port);
    return;
  }
  if (entry->tls) entry->share.set(entry->share.bytes() + entry->tls->memory_used());
  entry->forget_at = now + linger_;
}

std::variant<const Table::Entry*, Reason> Table::session_of(const Port& port,
                                                            const SessionQuestion& question) {
  if (port.crowded) return Reason::Ambiguous;
  const Entry* found = nullptr;
  for (const Entry& entry : port.entries) {
    if (question.server && *question.server != entry.session.server) continue;
    if (question.began &&
        (*question.began < entry.session.opened || *question.began > entry.greeted)) {
      continue;
    }
    if (found != nullptr) return Reason::Ambiguous;
    found = &entry;
  }
  if (found == nullptr) return Reason::NoSession;
  return found;
}

std::variant<Trace, Reason> Table::message_of(const Entry& entry, const Question& question) {
  // One contradiction is tolerated if no other message is possible and the message's text was read:
  // Postfix may be configured to change much of what it shows.
  constexpr unsigned kMostAlone = 1;
  if (entry.behind && entry.reason == Reason::None) return Reason::Ambiguous;
  const auto end = entry.messages.end();
  const auto first = std::find_if(entry.messages.begin(), end, [&](const Ended& ended) {
    return ended.trace.message > question.after;
  });
  if (first == end) return entry.reason == Reason::None ? Reason::Lost : entry.reason;
  const bool alone = std::next(first) == end && !classifier::unread(first->trace);
  const unsigned most = alone ? kMostAlone : 0;
  const Ended* found = nullptr;
  for (auto at = first; at != end; ++at) {
    if (classifier::contradictions(question.shown, at->seen) > most) continue;
    if (found != nullptr) return Reason::Ambiguous;
    found = &*at;
  }
  if (found == nullptr) return Reason::Ambiguous;
  return found->trace;
}

std::variant<Trace, Reason> Table::find(const Question& question) const {
  std::shared_ptr<TlsEvidence> tls;
  {
    const Shard& place = shard(question.client);
    const std::lock_guard lock(place.mutex);
    const auto port = place.ports.find(question.client);
    if (port == place.ports.end()) return Reason::NoSession;
    const auto session = session_of(port->second, question.session());
    if (const auto* reason = std::get_if<Reason>(&session)) return *reason;
    const Entry& entry = *std::get<const Entry*>(session);
    tls = entry.tls;
    if (tls == nullptr) return message_of(entry, question);
  }
  // The shard's lock is released: placing arrivals in a message takes time.
  return tls->trace(question);
}

std::variant<std::uint32_t, Reason> Table::talk(const SessionQuestion& question) const {
  const Shard& place = shard(question.client);
  const std::lock_guard lock(place.mutex);
  const auto port = place.ports.find(question.client);
  if (port == place.ports.end()) return Reason::NoSession;
  const auto session = session_of(port->second, question);
  if (const auto* reason = std::get_if<Reason>(&session)) return *reason;
  const Entry& entry = *std::get<const Entry*>(session);
  if (entry.words == 0 && entry.reason != Reason::None) return entry.reason;
  return entry.words;
}

void Table::expire(steady_clock::time_point now) {
  for (auto& place : shards_) {
    const std::lock_guard lock(place.mutex);
    for (auto port = place.ports.begin(); port != place.ports.end();) {
      auto& entries = port->second.entries;
      for (Entry& entry : entries) {
        const bool over = entry.forget_at != steady_clock::time_point::max();
        if (over && budget_.has_to_go(entry.share)) give_up(entry, Reason::Overload);
      }
      const auto gone =
          entries.remove_if([now](const Entry& entry) { return entry.forget_at <= now; });
      size_.fetch_sub(gone, std::memory_order_relaxed);
      port = entries.empty() ? place.ports.erase(port) : std::next(port);
    }
  }
}

void Table::tell(Counters& counters) {
  counters.sessions.store(size(), std::memory_order_relaxed);
  counters.bytes.store(budget_.used(), std::memory_order_relaxed);
  const auto refused = this->refused();
  counters.refused.fetch_add(refused - std::exchange(told_refused_, refused),
                             std::memory_order_relaxed);
}

}  // namespace evidence
