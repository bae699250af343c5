#include "milter/recorded/ip_fragments.h"

#include <algorithm>
#include <iterator>

namespace recorded {
namespace {

constexpr std::size_t kLargest = 65535;  // of an IPv4 packet, or of an IPv6 packet's data
constexpr std::size_t kUnit = 8;         // unit of a fragment's offset
// Overhead of keeping a fragment; chosen, about what a Piece takes.
constexpr std::size_t kPieceCost = 96;
constexpr std::size_t kV6Header = 40;

void put16(std::vector<std::uint8_t>& bytes, std::size_t at, std::size_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

}  // namespace

std::optional<IpFragments::Whole> IpFragments::add(const IpFragment& fragment,
                                                   std::uint64_t time_ns) {
  ++counts_.left_out;
  const Key key{.v6 = fragment.v6,
                .protocol = fragment.protocol,
                .id = fragment.id,
                .network = fragment.network,
                .from = fragment.from,
                .to = fragment.to};
  const auto at = packet_for(key, time_ns);
  Packet& packet = at->second;
  if (packet.broken) {
    ++counts_.overlapping;
    return std::nullopt;
  }
  if (!insert(packet, fragment)) return std::nullopt;
  if (packet.total == 0 || packet.have < packet.total || packet.header.empty()) {
    while (bytes_ > limits_.bytes) erase(packets_.find(order_.front()));
    return std::nullopt;
  }
  const Whole whole = join(packet, fragment);
  counts_.left_out -= packet.pieces.size();
  erase(at);
  return whole;
}

IpFragments::Packets::iterator IpFragments::packet_for(const Key& key, std::uint64_t time_ns) {
  // Identifications are reused: an old one belongs to another packet.
  while (!order_.empty()) {
    const auto oldest = packets_.find(order_.front());
    const std::uint64_t began = oldest->second.time_ns;
    if (time_ns < began + limits_.age_ns) break;
    erase(oldest);
  }
  const auto found = packets_.find(key);
  if (found != packets_.end()) return found;
  if (packets_.size() >= limits_.packets) erase(packets_.find(order_.front()));
  const auto added = packets_.emplace(key, Packet{}).first;
  added->second.time_ns = time_ns;
  added->second.place = order_.insert(order_.end(), key);
  return added;
}

void IpFragments::erase(Packets::iterator packet) {
  for (const Piece& piece : packet->second.pieces) bytes_ -= piece.data.size() + kPieceCost;
  order_.erase(packet->second.place);
  packets_.erase(packet);
}

void IpFragments::break_up(Packet& packet, bool overlap) {
  for (const Piece& piece : packet.pieces) bytes_ -= piece.data.size() + kPieceCost;
  if (overlap) counts_.overlapping += packet.pieces.size() + 1;
  packet.pieces = {};
  packet.broken = true;
}

// Returns false if the fragment is a repetition, or if its packet is broken now.
bool IpFragments::insert(Packet& packet, const IpFragment& fragment) {
  const std::size_t end = fragment.offset + fragment.size;
  const auto after = std::find_if(packet.pieces.begin(), packet.pieces.end(),
                                  [&](const Piece& p) { return p.offset >= fragment.offset; });
  const bool again = after != packet.pieces.end() && after->offset == fragment.offset &&
                     after->size == fragment.size &&
                     std::equal(after->data.begin(), after->data.end(), fragment.data.begin(),
                                fragment.data.end());
  if (again) {
    --counts_.left_out;
    return false;
  }
  const bool misfit = fragment.size == 0 || (fragment.more && fragment.size % kUnit != 0) ||
                      end + fragment.header.size() > kLargest ||
                      packet.pieces.size() >= limits_.pieces;
  const bool overlap = (after != packet.pieces.end() && after->offset < end) ||
                       (after != packet.pieces.begin() &&
                        std::prev(after)->offset + std::prev(after)->size > fragment.offset) ||
                       (packet.total != 0 && (end > packet.total || !fragment.more)) ||
                       (!fragment.more && !packet.pieces.empty() &&
                        packet.pieces.back().offset + packet.pieces.back().size > end);
  if (misfit || overlap) {
    break_up(packet, overlap);
    return false;
  }
  packet.pieces.insert(
      after, {fragment.offset, fragment.size, {fragment.data.begin(), fragment.data.end()}});
  bytes_ += fragment.data.size() + kPieceCost;
  packet.have += fragment.size;
  if (!fragment.more) packet.total = end;
  if (fragment.offset == 0) {
    packet.header.assign(fragment.header.begin(), fragment.header.end());
    packet.next_header = fragment.next_header;
  }
  return true;
}

IpFragments::Whole IpFragments::join(const Packet& packet, const IpFragment& last) {
  whole_ = packet.header;
  for (const Piece& piece : packet.pieces) {
    whole_.insert(whole_.end(), piece.data.begin(), piece.data.end());
    if (piece.data.size() < piece.size) break;
  }
  const std::size_t wire = packet.header.size() + packet.total;
  if (last.v6) {
    put16(whole_, 4, wire - kV6Header);
    whole_[packet.next_header] = last.protocol;
  } else {
    put16(whole_, 2, wire);
    put16(whole_, 6, 0);
  }
  return {whole_, wire};
}

}  // namespace recorded
