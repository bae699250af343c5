#include "milter/recorded/tcp_assembly.h"

#include <iterator>

#include "milter/net/keyed_hash.h"
#include "milter/tcp/flags.h"

namespace recorded {
namespace {

// Any order is sufficient. Ports come first: they are quick to compare and nearly always differ.
bool less(const TcpEnd& a, const TcpEnd& b) {
  return a.port != b.port ? a.port < b.port : a.address < b.address;
}

}  // namespace

std::size_t TcpAssembly::Hash::operator()(const Key& key) const noexcept {
  std::uint64_t state = seed;
  for (const TcpEnd* end : {&key.low, &key.high}) {
    for (const std::uint64_t word : end->words()) state = net::mix(state, word);
    state = net::mix(state, end->port);
  }
  return state;
}

TcpAssembly::TcpAssembly(MessageSink& sink, const Limits& limits)
    : sink_(sink), limits_(limits), index_(0, Hash{net::random_seed()}) {}

// If the clock goes back, no connection counts as idle.
void TcpAssembly::end_idle(std::uint64_t now_ns) {
  while (!entries_.empty() && now_ns > entries_.back().last_ns &&
         now_ns - entries_.back().last_ns > limits_.idle_ns) {
    end(std::prev(entries_.end()));
  }
}

void TcpAssembly::add(const Key& key, const TcpPacket& packet) {
  const auto [first, last] = index_.equal_range(key);
  if (static_cast<std::size_t>(std::distance(first, last)) >= kMaxTwins) end(first->second);
  if (entries_.size() >= limits_.flows) end(std::prev(entries_.end()));
  entries_.emplace_front(key, packet, *this);
  index_.emplace(key, entries_.begin());
}

void TcpAssembly::end(Entries::iterator entry) {
  entry->flow.finish();
  auto [at, last] = index_.equal_range(entry->key);
  while (at != last && at->second != entry) ++at;
  if (at != last) index_.erase(at);
  entries_.erase(entry);
}

// Returns the packet's flow and moves it to the front. Most packets belong to the flow that is
// already there.
TcpAssembly::Entry& TcpAssembly::entry_for(const TcpPacket& packet, int side) {
  const Key key = side == 0 ? Key{packet.from, packet.to} : Key{packet.to, packet.from};
  if (!entries_.empty() && entries_.front().key == key &&
      entries_.front().networks.carries(side, packet)) {
    return entries_.front();
  }
  const auto [first, last] = index_.equal_range(key);
  auto found = last;
  for (auto at = first; at != last; ++at) {
    if (at->second->networks.carries(side, packet)) {
      found = at;
      break;
    }
    if (found == last && at->second->networks.fits(side, packet)) found = at;
  }
  if (found == last) {
    add(key, packet);
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  return entries_.front();
}

void TcpAssembly::packet(const TcpPacket& packet) {
  if (packet.from == packet.to) return;
  end_idle(packet.time_ns);
  const int side = less(packet.from, packet.to) ? 0 : 1;
  Entry* entry = &entry_for(packet, side);
  // A repeated acknowledgement is harmless, so it is not remembered.
  if (packet.size != 0 || packet.has(tcp::kSyn)) {
    if (copies_.is_copy(packet, entry->sent[side])) {
      entry->networks.note(side, packet);
      ++copied_;
      return;
    }
  } else if (reports_gap(packet)) {
    ++entry->sent[1 - side].gaps;
  }
  if (entry->flow.reused_by(packet)) {
    const Key key = entry->key;
    end(entries_.begin());
    add(key, packet);
    entry = &entries_.front();
  }
  entry->last_ns = packet.time_ns;
  entry->networks.note(side, packet);
  entry->flow.packet(packet);
  if (waiting_ > limits_.waiting_bytes) entry->flow.give_up_until(0);
}

void TcpAssembly::finish() {
  // The oldest flow first, so that earlier messages are reported earlier.
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) entry->flow.finish();
  index_.clear();
  entries_.clear();
}

}  // namespace recorded
