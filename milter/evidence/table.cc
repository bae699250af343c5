#include "milter/evidence/table.h"

#include <utility>

namespace evidence {
namespace {

template <typename T>
std::size_t bytes_of(const std::vector<T>& items) {
  return items.capacity() * sizeof(T);
}

std::size_t footprint(const classifier::Trace& trace) {
  return sizeof trace + bytes_of(trace.segments) + bytes_of(trace.records) +
         bytes_of(trace.chunk_begins) + bytes_of(trace.landmarks.fields) +
         bytes_of(trace.landmarks.folds) + trace.path.syn.capacity() + trace.hello.ja4.capacity();
}

}  // namespace

Table::Shard& Table::shard(const net::Endpoint& client) const {
  // The map uses the hash's low bits; the shard is chosen by others.
  return shards_[(std::hash<net::Endpoint>{}(client) >> 24) % shards_.size()];
}

Table::Entry* Table::entry(Shard& shard, const net::Endpoint& client, std::uint64_t session) {
  const auto found = shard.entries.find(client);
  if (found != shard.entries.end()) {
    if (found->second.session != session) {
      found->second = Entry{.session = session, .share = Budget::Share(budget_)};
    }
    return &found->second;
  }
  if (size_.load(std::memory_order_relaxed) >= max_sessions_) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  Entry fresh{.session = session, .share = Budget::Share(budget_)};
  Entry* made = &shard.entries.emplace(client, std::move(fresh)).first->second;
  size_.fetch_add(1, std::memory_order_relaxed);
  return made;
}

void Table::publish(const net::Endpoint& client, std::uint64_t session, classifier::Trace&& trace) {
  Shard& place = shard(client);
  const std::lock_guard lock(place.mutex);
  Entry* found = entry(place, client, session);
  if (found == nullptr) return;
  if (found->traces.size() == kMaxUnanswered) pop_front(*found);
  // Not left out: the filter would take the next one for it.
  if (budget_.exceeded()) {
    trace = classifier::unobserved(classifier::Reason::Overload, trace.message);
  }
  found->share.set(found->share.bytes() + footprint(trace));
  found->traces.push_back(std::move(trace));
}

classifier::Trace Table::pop_front(Entry& entry) {
  auto trace = std::move(entry.traces.front());
  entry.traces.pop_front();
  entry.share.set(entry.share.bytes() - footprint(trace));
  return trace;
}

void Table::answered(const net::Endpoint& client, std::uint64_t session, std::uint32_t ordinal) {
  std::deque<classifier::Trace> done;  // freed after the lock
  Shard& place = shard(client);
  const std::lock_guard lock(place.mutex);
  const auto found = place.entries.find(client);
  if (found == place.entries.end() || found->second.session != session) return;
  auto& traces = found->second.traces;
  while (!traces.empty() && traces.front().message <= ordinal) {
    done.push_back(pop_front(found->second));
  }
}

void Table::seal(const net::Endpoint& client, std::uint64_t session,
                 std::shared_ptr<Sealed> sealed) {
  Shard& place = shard(client);
  const std::lock_guard lock(place.mutex);
  if (Entry* found = entry(place, client, session)) found->sealed = std::move(sealed);
}

std::shared_ptr<Sealed> Table::follow(const net::Endpoint& client, std::uint64_t session,
                                      classifier::SealedLog::Start&& start,
                                      classifier::ArrivalLog&& arrivals) {
  if (start.offset == 0) return nullptr;
  auto sealed = std::make_shared<Sealed>(std::move(start), std::move(arrivals));
  seal(client, session, sealed);
  return sealed;
}

void Table::lost(const net::Endpoint& client, std::uint64_t session, classifier::Reason reason) {
  Shard& place = shard(client);
  const std::lock_guard lock(place.mutex);
  Entry* found = entry(place, client, session);
  if (found == nullptr) return;
  found->reason = reason;
  found->sealed.reset();  // is not asked any more
  if (reason == classifier::Reason::Ambiguous && !found->traces.empty()) {
    found->share.set(found->share.bytes() - footprint(found->traces.back()));
    found->traces.pop_back();
  }
}

void Table::close(const net::Endpoint& client, std::uint64_t session,
                  steady_clock::time_point now) {
  Shard& place = shard(client);
  const std::lock_guard lock(place.mutex);
  const auto found = place.entries.find(client);
  if (found == place.entries.end() || found->second.session != session) return;
  const bool empty = found->second.traces.empty() && found->second.sealed == nullptr;
  if (empty && found->second.reason == classifier::Reason::None) {
    place.entries.erase(found);
    size_.fetch_sub(1, std::memory_order_relaxed);
    return;
  }
  auto& share = found->second.share;
  if (found->second.sealed) share.set(share.bytes() + found->second.sealed->held());
  found->second.forget_at = now + linger_;
}

std::variant<classifier::Trace, classifier::Reason> Table::find(
    const net::Endpoint& client, std::uint32_t after, const classifier::ShownSizes& sizes) const {
  std::shared_ptr<Sealed> sealed;
  auto reason = classifier::Reason::None;
  {
    const Shard& place = shard(client);
    const std::lock_guard lock(place.mutex);
    const auto found = place.entries.find(client);
    if (found == place.entries.end()) return classifier::Reason::NoSession;
    for (const auto& trace : found->second.traces) {
      if (trace.message > after) return trace;
    }
    sealed = found->second.sealed;
    reason = found->second.reason;
  }
  // Not under the shard's lock: laying arrivals over a message takes its time.
  if (sealed && reason == classifier::Reason::None) {
    if (auto trace = sealed->trace(sizes, after + 1)) return std::move(*trace);
  }
  return reason == classifier::Reason::None ? classifier::Reason::Lost : reason;
}

void Table::expire(steady_clock::time_point now) {
  for (auto& place : shards_) {
    const std::lock_guard lock(place.mutex);
    size_.fetch_sub(std::erase_if(place.entries,
                                  [now](const auto& item) { return item.second.forget_at <= now; }),
                    std::memory_order_relaxed);
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
