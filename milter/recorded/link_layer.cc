// Reads the link types of capture files (tcpdump.org/linktypes.html), Ethernet with its tags, PPP,
// MPLS, and 802.11 data frames.
#include <algorithm>
#include <optional>

#include "milter/recorded/layer.h"

namespace recorded {
namespace {

using Kind = Layer::Kind;

enum LinkType : std::uint32_t {
  kNull = 0,
  kEthernet = 1,
  kPpp = 9,
  kRawBsd = 12,  // raw IP, as some systems number it and some programs wrote it
  kRawOpenBsd = 14,
  kPppHdlc = 50,
  kPppoe = 51,
  kRaw = 101,
  kCiscoHdlc = 104,
  kWifi = 105,
  kLoop = 108,
  kEnc = 109,
  kCooked = 113,
  kPflog = 117,
  kRadiotap = 127,
  kPktapOld = 149,
  kPppd = 166,
  kPpi = 192,
  kPppWithDirection = 204,
  kCiscoHdlcWithDirection = 205,
  kIpv4Only = 228,
  kIpv6Only = 229,
  kNflog = 239,
  kPktap = 258,
  kCooked2 = 276,
};

enum EtherType : std::uint32_t {
  kIpv4 = 0x0800,
  kArp = 0x0806,
  kTransparentBridging = 0x6558,
  kVlan = 0x8100,
  kIpv6 = 0x86dd,
  kMplsUnicast = 0x8847,
  kMplsMulticast = 0x8848,
  kPppoeSession = 0x8864,
  kServiceVlan = 0x88a8,
  kMacsec = 0x88e5,
  kBackbone = 0x88e7,
  kVlanOld1 = 0x9100,
  kVlanOld2 = 0x9200,
};
// IEEE 802.3: up to this value the field is a length, not a type.
constexpr std::uint32_t kMaxLength = 1500;

// Ethertypes that are known and never carry mail: ARP and RARP, loop tests, slow protocols, EAPOL,
// LLDP, PPPoE discovery, PTP, wake-on-LAN.
bool carries_no_ip(std::uint32_t type) {
  constexpr std::uint32_t kTypes[] = {kArp,   0x8035, 0x9000, 0x8809, 0x888e, 0x88cc, 0x8863,
                                      0x88f7, 0x0842, 0x8899, 0x88e1, 0x8912, 0x893a, 0x8902};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

bool is_vlan(std::uint32_t type) {
  return type == kVlan || type == kServiceVlan || type == kVlanOld1 || type == kVlanOld2;
}

// A length that the capturing machine wrote in its own byte order. The smaller reading is the right
// one, because real lengths are small.
std::size_t native32(Bytes bytes, std::size_t at) {
  return std::min(little32(bytes, at), get32(bytes, at));
}

// NFLOG: a list of attributes, one of which is the packet. Sizes are in the capturing machine's
// order.
Layer behind_nflog(const Layer& link) {
  constexpr std::size_t kHeader = 4;
  constexpr std::size_t kAttribute = 4;
  constexpr std::uint32_t kPayload = 9;  // NFULA_PAYLOAD
  for (const bool little : {true, false}) {
    std::size_t at = kHeader;
    while (at + kAttribute <= link.bytes.size()) {
      const std::size_t size = little ? little16(link.bytes, at) : get16(link.bytes, at);
      const std::uint32_t type = little ? little16(link.bytes, at + 2) : get16(link.bytes, at + 2);
      if (size < kAttribute) break;
      if (type == kPayload && at + size <= link.wire) {
        Layer ip = link.behind(at + kAttribute, Kind::Ip);
        ip.wire = std::min(ip.wire, size - kAttribute);
        return ip;
      }
      at += (size + 3) / 4 * 4;
    }
  }
  return Layer::not_read(NotRead::Kind::Cut);
}

// PKTAP of macOS: its own header, then a frame of another link type.
Layer behind_pktap(const Layer& link) {
  constexpr std::size_t kLeast = 12;
  if (!link.has(kLeast)) return Layer::not_read(NotRead::Kind::Cut);
  return link.behind(native32(link.bytes, 0), Kind::Link,
                     static_cast<std::uint32_t>(native32(link.bytes, 8)));
}

Layer behind_radiotap(const Layer& link) {
  constexpr std::size_t kFixed = 8;
  if (!link.has(kFixed)) return Layer::not_read(NotRead::Kind::Cut);
  return link.behind(little16(link.bytes, 2), Kind::Wifi);
}

// MPLS: labels, then IP, or Ethernet with or without a control word (RFC 4448). No field says
// which, so it is recognised by its content.
Layer behind_mpls(const Layer& layer) {
  constexpr std::size_t kLabel = 4;
  constexpr std::size_t kMaxLabels = 16;  // chosen; real stacks have a few
  constexpr std::size_t kControlWord = 4;
  constexpr std::size_t kAddresses = 12;
  std::size_t at = 0;
  for (std::size_t labels = 0;; ++labels) {
    if (labels == kMaxLabels) return Layer::not_read(NotRead::Kind::Nested);
    if (!layer.has(at + kLabel + 1)) return Layer::not_read(NotRead::Kind::Cut);
    at += kLabel;
    if (layer.bytes[at - 2] & 0x01) break;  // RFC 3032, 2.1: bottom of stack
  }
  const auto ethernet_at = [&](std::size_t begin) {
    if (!layer.has(begin + kAddresses + 2)) return false;
    const std::uint32_t type = get16(layer.bytes, begin + kAddresses);
    return type == kIpv4 || type == kIpv6 || is_vlan(type) || type == kPppoeSession ||
           type == kMplsUnicast || carries_no_ip(type);
  };
  const unsigned version = layer.bytes[at] >> 4;
  const bool ip = (version == 4 && (layer.bytes[at] & 0x0f) >= 5) || version == 6;
  if (version == 0 && ethernet_at(at + kControlWord)) {
    return layer.behind(at + kControlWord, Kind::Ethernet);
  }
  // A MAC address may begin with the same bits as IP.
  if (ethernet_at(at) && (!ip || get16(layer.bytes, at + 2) > layer.wire)) {
    return layer.behind(at, Kind::Ethernet);
  }
  if (ip) return layer.behind(at, Kind::Ip);
  return Layer::not_read(NotRead::Kind::EtherType, kMplsUnicast);
}

// IEEE 802.2, after a length.
Layer behind_llc(const Layer& layer) {
  constexpr std::size_t kSnap = 8;
  constexpr std::uint8_t kIpSap = 0x06;
  if (!layer.has(kSnap)) return Layer::no_mail();
  const Bytes bytes = layer.bytes;
  if (bytes[0] == 0xaa && bytes[1] == 0xaa) {
    return layer.behind(kSnap, Kind::EtherType, get16(bytes, 6));  // RFC 1042
  }
  if (bytes[0] == kIpSap && bytes[1] == kIpSap) return layer.behind(3, Kind::Ip);
  return Layer::no_mail();  // spanning tree and routing protocols
}

}  // namespace

Layer behind_link(const Layer& link) {
  const auto type_at = [&](std::size_t at, std::size_t header) {
    return link.has(header) ? link.behind(header, Kind::EtherType, get16(link.bytes, at))
                            : Layer::not_read(NotRead::Kind::Cut);
  };
  switch (link.number) {
    case kEthernet:
      return link.behind(0, Kind::Ethernet);
    case kCooked:
      return type_at(14, 16);
    case kCooked2:
      return type_at(0, 20);
    case kRaw:
    case kRawBsd:
    case kRawOpenBsd:
    case kIpv4Only:
    case kIpv6Only:
      return link.behind(0, Kind::Ip);
    case kNull:
    case kLoop:
      // The family number differs by system; the IP header gives its own version.
      return link.behind(4, Kind::Ip);
    case kEnc:
      return link.behind(12, Kind::Ip);
    case kPflog:
      // Its length is in the first byte and excludes the padding.
      return link.has(1) ? link.behind((link.bytes[0] + 3U) / 4 * 4, Kind::Ip)
                         : Layer::not_read(NotRead::Kind::Cut);
    case kPpp:
    case kPppHdlc:
      return link.behind(0, Kind::Ppp);
    case kPppWithDirection:
      return link.behind(1, Kind::Ppp);
    case kPppd:
      return link.behind(2, Kind::Ppp);  // the direction replaces the address; then control
    case kPppoe:
      return link.behind(6, Kind::Ppp);
    case kCiscoHdlc:
      return type_at(2, 4);
    case kCiscoHdlcWithDirection:
      return type_at(3, 5);
    case kWifi:
      return link.behind(0, Kind::Wifi);
    case kRadiotap:
      return behind_radiotap(link);
    case kPpi:
      return link.has(8) ? link.behind(little16(link.bytes, 2), Kind::Link, little32(link.bytes, 4))
                         : Layer::not_read(NotRead::Kind::Cut);
    case kNflog:
      return behind_nflog(link);
    case kPktap:
    case kPktapOld:
      return behind_pktap(link);
    default:
      return Layer::not_read(NotRead::Kind::LinkType, link.number);
  }
}

// IEEE 802.11, 9.2.3. Only data frames are read, and only if they are not encrypted.
Layer behind_wifi(const Layer& wifi) {
  constexpr unsigned kDataType = 2;
  constexpr unsigned kNoData = 0x40;
  constexpr unsigned kQos = 0x80;
  constexpr unsigned kBothWays = 0x03;
  constexpr unsigned kProtected = 0x40;
  constexpr unsigned kHighThroughput = 0x80;
  if (!wifi.has(2)) return Layer::not_read(NotRead::Kind::Cut);
  const unsigned control = wifi.bytes[0];
  const unsigned flags = wifi.bytes[1];
  if ((control >> 2 & 3) != kDataType || control & kNoData) return Layer::no_mail();
  if (flags & kProtected) return Layer::not_read(NotRead::Kind::Encrypted);
  std::size_t header = 24;
  if ((flags & kBothWays) == kBothWays) header += 6;
  if (control & kQos) header += flags & kHighThroughput ? 6 : 2;
  Layer llc = wifi.behind(header, Kind::EtherType, 0);
  // Some drivers pad the header to a multiple of four bytes.
  if (llc.kind == Kind::EtherType && header % 4 != 0 && llc.has(3) && llc.bytes[0] != 0xaa &&
      llc.bytes[2] == 0xaa) {
    llc = wifi.behind(header + 2, Kind::EtherType, 0);
  }
  return llc;
}

Layer behind_ethernet(const Layer& ethernet) {
  constexpr std::size_t kHeader = 14;
  if (!ethernet.has(kHeader)) return Layer::not_read(NotRead::Kind::Cut);
  return ethernet.behind(kHeader, Kind::EtherType, get16(ethernet.bytes, 12));
}

Layer behind_ethertype(const Layer& layer, std::uint64_t& network) {
  constexpr std::uint32_t kVlanBits = 0x0fff;
  switch (layer.number) {
    case kIpv4:
    case kIpv6:
      return layer.behind(0, Kind::Ip);
    case kVlan:
    case kServiceVlan:
    case kVlanOld1:
    case kVlanOld2: {
      if (!layer.has(4)) return Layer::not_read(NotRead::Kind::Cut);
      const std::uint32_t vlan = get16(layer.bytes, 0) & kVlanBits;
      if (vlan != 0) add_network(network, kVlan, vlan);  // 0: only a priority, not a VLAN
      return layer.behind(4, Kind::EtherType, get16(layer.bytes, 2));
    }
    case kPppoeSession:
      return layer.behind(6, Kind::Ppp);  // RFC 2516, 4
    case kMplsUnicast:
    case kMplsMulticast:
      return behind_mpls(layer);
    case kTransparentBridging:
      return layer.behind(0, Kind::Ethernet);
    case kBackbone:
      return layer.behind(4, Kind::Ethernet);  // IEEE 802.1ah: the number of the service
    case kMacsec:
      return Layer::not_read(NotRead::Kind::EtherType, layer.number);
    default:
      if (layer.number <= kMaxLength) return behind_llc(layer);
      if (carries_no_ip(layer.number)) return Layer::no_mail();
      return Layer::not_read(NotRead::Kind::EtherType, layer.number);
  }
}

Layer behind_ppp(const Layer& ppp) {
  constexpr std::uint32_t kPppIpv4 = 0x0021;
  constexpr std::uint32_t kPppIpv6 = 0x0057;
  constexpr std::uint32_t kPppMpls = 0x0281;
  constexpr std::uint32_t kFirstControl = 0x8000;  // RFC 1661, 2: from here on control protocols
  std::size_t at = ppp.has(2) && ppp.bytes[0] == 0xff && ppp.bytes[1] == 0x03 ? 2 : 0;
  if (!ppp.has(at + 2)) return Layer::not_read(NotRead::Kind::Cut);
  // RFC 1661, 6.5: if the first byte is odd, the protocol field is compressed to this one byte.
  const bool compressed = ppp.bytes[at] & 0x01;
  const std::uint32_t protocol = compressed ? ppp.bytes[at] : get16(ppp.bytes, at);
  at += compressed ? 1 : 2;
  if (protocol == kPppIpv4 || protocol == kPppIpv6) return ppp.behind(at, Kind::Ip);
  if (protocol == kPppMpls) return ppp.behind(at, Kind::EtherType, kMplsUnicast);
  if (protocol >= kFirstControl) return Layer::no_mail();
  return Layer::not_read(NotRead::Kind::PppProtocol, protocol);
}

}  // namespace recorded
