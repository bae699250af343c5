#include "milter/wire/flows.h"

#include <exception>

namespace wire {

std::size_t Flows::Hash::operator()(const Key& key) const noexcept {
  const std::hash<net::Endpoint> hash;
  return hash(key.client) ^ (hash(key.server) * 0x9e3779b97f4a7c15U);
}

void Flows::packet(const capture::WirePacket& packet) {
  const Key key{packet.client, packet.server};
  const bool syn = !packet.from_server && (packet.tcp_flags & capture::WirePacket::kSyn) != 0;
  auto found = index_.find(key);
  if (found == index_.end()) {
    if (syn) begin(key, packet);
    return;
  }
  if (found->second->flow.reused_by(packet)) return wait_for_answer(*found->second, packet);
  if (answers_next(*found->second, packet)) {
    const auto next = std::move(found->second->next);
    erase(found->second);
    begin(key, next->packet);
    found = index_.find(key);
    if (found == index_.end()) return;
  }
  const auto entry = found->second;
  entries_.splice(entries_.begin(), entries_, entry);
  entry->seen_ns = packet.time_ns;
  try {
    entry->flow.packet(packet);
  } catch (const std::exception&) {
    erase(entry);  // no memory: this connection is not followed any more
    return;
  }
  if (entry->flow.over()) erase(entry);
}

void Flows::begin(const Key& key, const capture::WirePacket& syn) {
  if (entries_.size() >= most_) {
    ++shared_.counters.evicted;
    erase(std::prev(entries_.end()));
  }
  ++shared_.counters.connections;
  try {
    entries_.emplace_front(key, syn, ++begun_, shared_);
    index_.emplace(key, entries_.begin());
  } catch (const std::exception&) {
    if (entries_.size() > index_.size()) entries_.pop_front();  // no memory: it is not followed
  }
}

void Flows::wait_for_answer(Entry& entry, const capture::WirePacket& syn) {
  try {
    entry.next = std::make_unique<Waiting>();
    Waiting& next = *entry.next;
    next.head.assign(syn.head.begin(), syn.head.end());
    next.packet = syn;
    next.packet.head = next.head;
    next.packet.tail = {};
    next.packet.records = {};
  } catch (const std::exception&) {
    entry.next.reset();  // no memory: it is not followed
  }
}

bool Flows::answers_next(const Entry& entry, const capture::WirePacket& packet) {
  if (!entry.next || !packet.from_server) return false;
  if ((packet.tcp_flags & capture::WirePacket::kSyn) == 0) return false;
  const std::uint32_t taken = packet.ack - (entry.next->packet.seq + 1);
  return taken == 0 || taken == entry.next->packet.size;
}

void Flows::erase(Entries::iterator entry) {
  index_.erase(entry->key);
  entries_.erase(entry);
}

void Flows::expire(std::uint64_t now_ns) {
  constexpr std::uint64_t kMost = std::chrono::nanoseconds(kMostSilence).count();
  while (!entries_.empty() && entries_.back().seen_ns + kMost < now_ns) {
    erase(std::prev(entries_.end()));
  }
  if (!shared_.table.budget().exceeded()) return;
  for (Entry& entry : entries_) entry.flow.account();
}

}  // namespace wire
