#include "milter/wire/flows.h"

#include "milter/tcp/flags.h"

#include <exception>

namespace wire {

std::size_t Flows::Hash::operator()(const Key& key) const noexcept {
  const std::hash<net::Endpoint> hash;
  return hash(key.client) ^ (hash(key.server) * 0x9e3779b97f4a7c15U);
}

Flows::Kept::Kept(const capture::WirePacket& passed)
    : packet(passed), head(passed.head.begin(), passed.head.end()) {
  packet.head = head;
  packet.tail = {};
  packet.records = {};
}

// If there is no memory for a connection, it is not followed, or no longer followed.
void Flows::packet(const capture::WirePacket& packet) {
  const Key key{packet.client, packet.server};
  try {
    if ((packet.tcp_flags & tcp::kSyn) != 0) return handshake(key, packet);
    if (completes(key, packet)) begin(key);
    pass(key, packet);
  } catch (const std::exception&) {
    if (const auto found = index_.find(key); found != index_.end()) {
      found->second->flow.give_up(classifier::Reason::Overload);
      erase(found->second);
    }
  }
}

void Flows::handshake(const Key& key, const capture::WirePacket& packet) {
  if (!packet.from_server) return wait_for_answer(key, packet);
  const auto found = waiting_index_.find(key);
  if (found == waiting_index_.end()) return;
  HalfOpen& half_open = *found->second;
  const capture::WirePacket& syn = half_open.syn->packet;
  const std::uint32_t taken = packet.ack - (syn.seq + 1);
  if (taken != 0 && taken != syn.size) return;  // the server answers another SYN
  half_open.syn_ack = std::make_unique<Kept>(packet);
  if (taken != 0) begin(key);
}

void Flows::wait_for_answer(const Key& key, const capture::WirePacket& syn) {
  if (const auto found = waiting_index_.find(key); found != waiting_index_.end()) {
    erase(found->second);
  } else if (waiting_.size() >= most_) {
    erase(std::prev(waiting_.end()));
  }
  waiting_.push_front({key, std::make_unique<Kept>(syn), nullptr});
  try {
    waiting_index_.emplace(key, waiting_.begin());
  } catch (const std::exception&) {
    waiting_.pop_front();
    throw;
  }
}

bool Flows::completes(const Key& key, const capture::WirePacket& packet) const {
  if (packet.from_server || (packet.tcp_flags & tcp::kRst) != 0) return false;
  const auto found = waiting_index_.find(key);
  if (found == waiting_index_.end() || !found->second->syn_ack) return false;
  // This need not be the client's first acknowledgement: the ring may have been full before. 1 MB
  // was chosen, not measured: a server says far less before it, and a forged acknowledgement has to
  // hit this range out of 4 GB.
  constexpr std::uint32_t kMostSaid = 1U << 20;
  return packet.ack - (found->second->syn_ack->packet.seq + 1) < kMostSaid;
}

// The new connection replaces an older one between the same ends, which the server must have
// closed.
void Flows::begin(const Key& key) {
  const auto half_open = waiting_index_.find(key)->second;
  if (const auto old = index_.find(key); old != index_.end()) erase(old->second);
  if (entries_.size() >= most_) {
    ++shared_.counters.evicted;
    entries_.back().flow.give_up(classifier::Reason::Overload);
    erase(std::prev(entries_.end()));
  }
  ++shared_.counters.connections;
  entries_.emplace_front(key, half_open->syn->packet, ++begun_, shared_);
  try {
    index_.emplace(key, entries_.begin());
  } catch (const std::exception&) {
    entries_.pop_front();
    throw;
  }
  entries_.front().flow.packet(half_open->syn_ack->packet);
  erase(half_open);
}

void Flows::pass(const Key& key, const capture::WirePacket& packet) {
  const auto found = index_.find(key);
  if (found == index_.end()) return;
  const auto entry = found->second;
  entries_.splice(entries_.begin(), entries_, entry);
  entry->seen_ns = packet.time_ns;
  entry->flow.packet(packet);
  if (entry->flow.over()) erase(entry);
}

void Flows::erase(Entries::iterator entry) {
  index_.erase(entry->key);
  entries_.erase(entry);
}

void Flows::erase(Waiting::iterator half_open) {
  waiting_index_.erase(half_open->key);
  waiting_.erase(half_open);
}

void Flows::expire(std::uint64_t now_ns) {
  constexpr std::uint64_t kMost = std::chrono::nanoseconds(kMostSilence).count();
  while (!entries_.empty() && entries_.back().seen_ns + kMost < now_ns) {
    entries_.back().flow.give_up(classifier::Reason::Expired);
    erase(std::prev(entries_.end()));
  }
  if (!shared_.table.budget().exceeded()) return;
  for (Entry& entry : entries_) entry.flow.account();
}

}  // namespace wire
