// One step on the way from a captured frame to its TCP packet: what kind of header comes next, and
// where. For the dissector and its parts.
//
//     Link ─► Ethernet ─► EtherType ─► Ip ─► IpProtocol ─► TCP
//               ▲             ▲         ▲        │
//               └─────────────┴─────────┴────────┘  tunnels: VXLAN, GENEVE, GRE, GTP-U, …
//
// Sizes are kept twice: what the wire carried, and what was captured, which alone may be read.
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
    EtherType,   // behind an ethertype, which is the number
    Ppp,         // from the protocol on, perhaps with address and control in front
    Wifi,        // an 802.11 frame
    Ip,          // of either version
    IpProtocol,  // behind an IP header; number: the protocol
    NoMail,      // understood, and no TCP
    NotRead,     // `why` and the number say what is not understood
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
  // What follows the first `size` bytes.
  Layer behind(std::size_t size, Kind next, std::uint32_t what = 0) const {
    if (size >= bytes.size() || size >= wire) return not_read(NotRead::Kind::Cut);
    return {.kind = next, .number = what, .bytes = bytes.subspan(size), .wire = wire - size};
  }
};

// Each takes a layer of the kind in its name and says what comes behind its header. `network` takes
// up the numbers of VLANs and tunnels.
Layer behind_link(const Layer& link);
Layer behind_wifi(const Layer& wifi);
Layer behind_ethernet(const Layer& ethernet);
Layer behind_ethertype(const Layer& layer, std::uint64_t& network);
Layer behind_ppp(const Layer& ppp);
// Other protocols than TCP.
Layer behind_protocol(const Layer& layer, std::uint64_t& network);

// Mixes a number in. `kind` tells VLANs, VNIs and the others apart.
inline void add_network(std::uint64_t& network, std::uint32_t kind, std::uint32_t number) {
  network = (network ^ (std::uint64_t{kind} << 32 | number)) * 0x9e3779b97f4a7c15U;
}

}  // namespace recorded
