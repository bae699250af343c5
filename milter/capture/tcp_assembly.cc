#include "milter/capture/tcp_assembly.h"

#include <cstring>
#include <random>

namespace capture {
namespace {

bool less(const TcpEnd& a, const TcpEnd& b) {
  const int order = std::memcmp(a.address.data(), b.address.data(), a.address.size());
  return order != 0 ? order < 0 : a.port < b.port;
}

std::uint64_t random_seed() {
  std::random_device device;
  return std::uint64_t{device()} << 32 | device();
}

// Mixes a word in, by the finisher of splitmix64 (public domain, S. Vigna).
std::uint64_t mix(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) + 0x9e3779b97f4a7c15U;
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9U;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebU;
  return state ^ (state >> 31);
}

std::uint64_t word_at(const TcpEnd& end, std::size_t at) {
  std::uint64_t word = 0;
  std::memcpy(&word, end.address.data() + at, sizeof word);
  return word;
}

}  // namespace

std::size_t TcpAssembly::Hash::operator()(const Key& key) const noexcept {
  std::uint64_t state = seed;
  for (const TcpEnd* end : {&key.low, &key.high}) {
    state = mix(state, word_at(*end, 0));
    state = mix(state, word_at(*end, 8));
    state = mix(state, end->port);
  }
  return state;
}

TcpAssembly::TcpAssembly(TraceSink& sink, const Limits& limits)
    : sink_(sink), limits_(limits), index_(0, Hash{random_seed()}) {}

TcpAssembly::Key TcpAssembly::key_of(const TcpPacket& packet) {
  return less(packet.from, packet.to) ? Key{packet.from, packet.to} : Key{packet.to, packet.from};
}

void TcpAssembly::end_oldest() {
  entries_.back().flow.finish();
  index_.erase(entries_.back().key);
  entries_.pop_back();
}

// A clock that goes back makes nothing idle.
void TcpAssembly::end_idle(std::uint64_t now_ns) {
  while (!entries_.empty() && now_ns > entries_.back().last_ns &&
         now_ns - entries_.back().last_ns > limits_.idle_ns) {
    end_oldest();
  }
}

void TcpAssembly::add(const Key& key, const TcpPacket& packet) {
  if (entries_.size() >= limits_.flows) end_oldest();
  entries_.emplace_front(key, packet, *this);
  index_.emplace(key, entries_.begin());
}

// The packet's flow, in front of the others. Most packets are of the flow that is there already.
TcpAssembly::Entry& TcpAssembly::entry_for(const TcpPacket& packet) {
  const Key key = key_of(packet);
  if (!entries_.empty() && entries_.front().key == key) return entries_.front();
  const auto found = index_.find(key);
  if (found == index_.end()) {
    add(key, packet);
  } else {
    entries_.splice(entries_.begin(), entries_, found->second);
  }
  return entries_.front();
}

void TcpAssembly::packet(const TcpPacket& packet) {
  if (packet.from == packet.to) return;
  end_idle(packet.time_ns);
  Entry* entry = &entry_for(packet);
  if (entry->flow.reused_by(packet)) {
    entry->flow.finish();
    const Key key = entry->key;
    index_.erase(key);
    entries_.pop_front();
    add(key, packet);
    entry = &entries_.front();
  }
  entry->last_ns = packet.time_ns;
  entry->flow.packet(packet);
  if (waiting_ > limits_.waiting_bytes) entry->flow.give_up_until(0);
}

void TcpAssembly::finish() {
  // The oldest first: what began earlier is told earlier.
  for (auto entry = entries_.rbegin(); entry != entries_.rend(); ++entry) entry->flow.finish();
  index_.clear();
  entries_.clear();
}

}  // namespace capture
