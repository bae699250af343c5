// One step from a captured frame to its TCP packet: the kind of the next header, and its place.
// Used by the dissector and its parts.
//
//     Link ─► Ethernet ─► EtherType ─► Ip ─► IpProtocol ─► TCP
//               ▲             ▲         ▲        │
//               └─────────────┴─────────┴────────┘  tunnels: VXLAN, GENEVE, GRE, GTP-U, …
//
// Sizes are kept twice: the size on the wire, and the captured size. Only captured bytes may be
// read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "milter/net/bytes.h"
#include "milter/recorded/not_read.h"

namespace recorded {

using net::Bytes;
using net::get16;
using net::get24;
using net::get32;
using net::little16;
using net::little32;

struct Layer {
  enum class Kind : std::uint8_t {
    Link,        // number: LINKTYPE_…
    Ethernet,    // from the destination address on
    EtherType,   // after an ethertype; number: the ethertype
    Ppp,         // from the protocol on; address and control may come before it
    Wifi,        // an 802.11 frame
    Ip,          // version 4 or 6
    IpProtocol,  // after an IP header; number: the protocol
    NoMail,      // understood, but not TCP
    NotRead,     // not understood; see `why` and the number
  };

  Kind kind = Kind::NoMail;
  std::uint32_t number = 0;
  Bytes bytes;
  std::size_t wire = 0;
  NotRead::Kind why = NotRead::Kind::Cut;

  static Layer no_mail() { return {}; }
  static Layer not_read(NotRead::Kind why, std::uint32_t number = 0) {
    return {.kind = Kind::NotRead, .number = number, .bytes = {}, .wire = 0, .why = why};
  }

  bool has(std::size_t size) const { return bytes.size() >= size; }
  // Returns the layer after the first `size` bytes.
  Layer behind(std::size_t size, Kind next, std::uint32_t what = 0) const {
    if (size >= bytes.size() || size >= wire) return not_read(NotRead::Kind::Cut);
    return {.kind = next, .number = what, .bytes = bytes.subspan(size), .wire = wire - size};
  }
};

// Each function takes a layer of the kind in its name and returns the layer after its header. VLAN
// and tunnel numbers are added to `network`.
Layer behind_link(const Layer& link);
Layer behind_wifi(const Layer& wifi);
Layer behind_ethernet(const Layer& ethernet);
Layer behind_ethertype(const Layer& layer, std::uint64_t& network);
Layer behind_ppp(const Layer& ppp);
// Handles protocols other than TCP.
Layer behind_protocol(const Layer& layer, std::uint64_t& network);

// Mixes a number into `network`. `kind` distinguishes VLANs, VNIs and other numbers.
inline void add_network(std::uint64_t& network, std::uint32_t kind, std::uint32_t number) {
  network = (network ^ (std::uint64_t{kind} << 32 | number)) * 0x9e3779b97f4a7c15U;
}

}  // namespace recorded
