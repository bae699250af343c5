#include "milter/recorded/packet_copies.h"

#include <algorithm>
#include <cstring>

#include "milter/net/keyed_hash.h"
#include "milter/recorded/sack.h"

namespace recorded {
namespace {

constexpr std::size_t kSets = 4096;  // a power of two

std::uint64_t word(const void* at, std::size_t size) {
  std::uint64_t value = 0;
  if (size != 0) std::memcpy(&value, at, size);
  return value;
}

std::uint64_t apart(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : b - a;
}

}  // namespace

PacketCopies::PacketCopies() : seed_(net::random_seed()), sets_(kSets) {}

std::uint64_t PacketCopies::hash(const TcpPacket& packet, std::uint64_t flow) const {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  std::uint64_t state = seed_ ^ flow;
  const auto add = [&](std::uint64_t value) {
    state = (state ^ value) * 0x9e3779b97f4a7c15U;
    state ^= state >> 32;
  };
  add(std::uint64_t{packet.seq} << 32 | packet.ack);
  add(std::uint64_t{packet.size} << 32 | std::uint64_t{packet.ip_id} << 16 | packet.flags);
  const auto options = packet.options;
  for (std::size_t at = 0; at < options.size(); at += kWord) {
    add(word(options.data() + at, std::min(kWord, options.size() - at)));
  }
  return net::mix(state, word(packet.payload.data(), std::min(kWord, packet.payload.size())));
}

bool PacketCopies::is_copy(const TcpPacket& packet, std::uint64_t flow, std::uint32_t gaps) {
  const std::uint64_t hashed = hash(packet, flow);
  Set& set = sets_[hashed & (kSets - 1)];
  auto found =
      std::find_if(set.begin(), set.end(), [&](const Seen& seen) { return seen.hash == hashed; });
  if (found != set.end()) {
    const std::uint64_t time = apart(found->time_ns, packet.time_ns);
    const bool routed = found->hops != packet.hops;
    const bool copy = packet.ip_id != 0
                          ? time <= kWithin_ns
                          : time <= kUnnumberedWithin_ns && (found->gaps == gaps || routed);
    if (copy) return true;
  } else {
    found = std::prev(set.end());
  }
  if (found != set.begin()) set.back() = set.front();
  set.front() = {hashed, packet.time_ns, gaps, packet.hops};
  return false;
}

bool reports_gap(const TcpPacket& packet) {
  return packet.size == 0 && read_sack(packet.options).there;
}

}  // namespace recorded
