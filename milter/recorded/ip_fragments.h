// Puts IP fragments together, for both IP versions. If fragments overlap, their whole packet is
// dropped (RFC 5722; RFC 8900, 3.7), because it is not known which copy the receiver used. An exact
// repetition is the same fragment captured twice, and is ignored. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <vector>

namespace recorded {

struct IpFragment {
  bool v6 = false;
  std::array<std::uint8_t, 16> from{};
  std::array<std::uint8_t, 16> to{};
  std::uint32_t id = 0;
  std::uint8_t protocol = 0;
  std::uint64_t network = 0;  // see TcpPacket
  std::size_t offset = 0;
  bool more = false;
  std::span<const std::uint8_t> header;  // before the data, without IPv6's fragment header
  std::size_t next_header = 0;           // IPv6: place in `header` of the number of the next header
  std::span<const std::uint8_t> data;    // the captured part of the data
  std::size_t size = 0;                  // of the data on the wire
};

class IpFragments {
 public:
  // Chosen, not measured: mail is rarely fragmented. Lower limits would lose packets of busy tunnels,
  // higher ones would only take memory.
  struct Limits {
    std::size_t packets = 256;            // one more evicts the oldest
    std::size_t bytes = 4 * 1024 * 1024;  // of all packets, with their overhead
    // Fragments of one packet. With an MTU of 576 bytes a packet of 64 KB has 119.
    std::size_t pieces = 128;
    // In the capture's time. RFC 791 suggests 15 s, RFC 8200 requires 60 s; 30 s is chosen between
    // them.
    std::uint64_t age_ns = 30'000'000'000;
  };
  struct Counts {
    std::uint64_t left_out = 0;     // fragments whose packet never became complete
    std::uint64_t overlapping = 0;  // of these: fragments of packets with overlaps
  };
  // A complete packet. The bytes are valid until the next call of add().
  struct Whole {
    std::span<const std::uint8_t> bytes;  // up to the first byte that was not captured
    std::size_t wire = 0;
  };

  IpFragments() = default;
  explicit IpFragments(const Limits& limits) : limits_(limits) {}

  // Returns the complete packet if this was the last missing fragment. Requires: the sizes in
  // `fragment` match its data.
  std::optional<Whole> add(const IpFragment& fragment, std::uint64_t time_ns);

  const Counts& counts() const { return counts_; }
  std::size_t packets() const { return packets_.size(); }
  std::size_t bytes() const { return bytes_; }

 private:
  struct Key {
    bool v6;
    std::uint8_t protocol;
    std::uint32_t id;
    std::uint64_t network;
    std::array<std::uint8_t, 16> from;
    std::array<std::uint8_t, 16> to;
    auto operator<=>(const Key&) const = default;
  };
  struct Piece {
    std::size_t offset;
    std::size_t size;  // on the wire
    std::vector<std::uint8_t> data;
  };
  struct Packet {
    std::uint64_t time_ns = 0;
    std::vector<Piece> pieces;  // in order of offset
    std::vector<std::uint8_t> header;
    std::size_t next_header = 0;
    std::size_t total = 0;  // size of the data; 0: not known
    std::size_t have = 0;
    bool broken = false;  // all further fragments of it are dropped
    std::list<Key>::iterator place;
  };
  using Packets = std::map<Key, Packet>;

  Packets::iterator packet_for(const Key& key, std::uint64_t time_ns);
  void erase(Packets::iterator packet);
  void break_up(Packet& packet, bool overlap);
  bool insert(Packet& packet, const IpFragment& fragment);
  Whole join(const Packet& packet, const IpFragment& last);

  const Limits limits_{};
  Packets packets_;
  std::list<Key> order_;  // the oldest first
  std::size_t bytes_ = 0;
  Counts counts_;
  std::vector<std::uint8_t> whole_;
};

}  // namespace recorded
