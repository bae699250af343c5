#include "milter/recorded/packet_copies.h"

#include <cstring>
#include <utility>

#include "milter/net/keyed_hash.h"
#include "milter/recorded/sack.h"

namespace recorded {
namespace {

// The first `size` bytes at `at`, at most eight, as a number.
std::uint64_t word(const void* at, std::size_t size) {
  std::uint64_t value = 0;
  if (size >= sizeof value) {
    std::memcpy(&value, at, sizeof value);
  } else if (size != 0) {
    std::memcpy(&value, at, size);
  }
  return value;
}

std::uint64_t apart(std::uint64_t a, std::uint64_t b) {
  return a > b ? a - b : b - a;
}

}  // namespace

bool PacketCopies::Direction::carried_on_by(const TcpPacket& packet) {
  const std::uint32_t packet_end = packet.first_payload() + packet.size;
  if (begun && static_cast<std::int32_t>(packet_end - end) <= 0) return false;
  begun = true;
  end = packet_end;
  return true;
}

PacketCopies::PacketCopies()
    : seed_(net::random_seed()), seen_(std::make_unique_for_overwrite<Seen[]>(kPackets)) {}

std::uint64_t PacketCopies::hash(const TcpPacket& packet, std::uint64_t direction) const {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  std::uint64_t state = seed_ ^ direction;
  const auto add = [&](std::uint64_t value) {
    state = (state ^ value) * 0x9e3779b97f4a7c15U;
    state ^= state >> 32;
  };
  add(std::uint64_t{packet.seq} << 32 | packet.ack);
  add(std::uint64_t{packet.size} << 32 | std::uint64_t{packet.ip_id} << 16 | packet.flags);
  const auto options = packet.options;
  for (std::size_t at = 0; at < options.size(); at += kWord) {
    add(word(options.data() + at, options.size() - at));
  }
  return net::mix(state, word(packet.payload.data(), packet.payload.size()));
}

// Returns the newest packet with this hash; null: none is kept.
const PacketCopies::Seen* PacketCopies::find(std::uint64_t hashed) const {
  for (std::uint64_t number = last_[hashed % kSlots]; next_ - number <= kPackets;) {
    const Seen& seen = seen_[number % kPackets];
    if (seen.hash == hashed) return &seen;
    number = seen.before;
  }
  return nullptr;
}

void PacketCopies::remember(Seen seen) {
  seen.before = std::exchange(last_[seen.hash % kSlots], next_);
  seen_[next_++ % kPackets] = seen;
}

bool PacketCopies::is_copy(const TcpPacket& packet, Direction& direction) {
  const std::uint64_t hashed = hash(packet, direction.number);
  const Seen* found = direction.carried_on_by(packet) ? nullptr : find(hashed);
  if (found != nullptr) {
    const std::uint64_t time = apart(found->time_ns, packet.time_ns);
    const bool routed = found->hops != packet.hops;
    const bool copy = packet.ip_id != 0 ? time <= kWithin_ns
                                        : time <= kUnnumberedWithin_ns &&
                                              (found->gaps == direction.gaps || routed);
    if (copy) return true;
  }
  remember({.hash = hashed,
            .time_ns = packet.time_ns,
            .before = 0,
            .gaps = direction.gaps,
            .hops = packet.hops});
  return false;
}

bool reports_gap(const TcpPacket& packet) {
  return packet.size == 0 && read_sack(packet.options).there;
}

}  // namespace recorded
