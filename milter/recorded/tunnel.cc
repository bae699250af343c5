// Tunnels: protocols other than TCP inside IP. A tunnel over UDP is recognised by its port and by a
// header that matches its specification, because other programs use these ports too.
#include <netinet/in.h>

#include <algorithm>
#include <iterator>

#include "milter/recorded/layer.h"

namespace recorded {
namespace {

using Kind = Layer::Kind;

enum UdpPort : std::uint32_t {
  kL2tp = 1701,
  kGtpUser = 2152,
  kVxlan = 4789,
  kGreInUdp = 4754,
  kGeneve = 6081,
  kMplsInUdp = 6635,
  kVxlanOld = 8472,  // Linux before the port was assigned; flannel
  kTzsp = 37008,
};

enum EtherType : std::uint32_t {
  kIpv4 = 0x0800,
  kIpv6 = 0x86dd,
  kErspan3 = 0x22eb,
  kPpp = 0x880b,
  kMpls = 0x8847,
  kErspan = 0x88be,
  kWccp = 0x883e,
};

constexpr std::uint32_t kEtherIp = 97;
constexpr std::uint32_t kIpIpOld = 94;
constexpr std::uint32_t kMplsInIp = 137;

// Protocols that are known and are no tunnels: ICMP, IGMP, OSPF, PIM, VRRP, SCTP, EIGRP, ICMPv6, no
// next header, RSVP.
bool is_no_tunnel(std::uint32_t protocol) {
  constexpr std::uint32_t kProtocols[] = {1, 2, 46, 58, 59, 88, 89, 103, 112, 132, 136};
  return std::find(std::begin(kProtocols), std::end(kProtocols), protocol) != std::end(kProtocols);
}

Layer misunderstood(std::uint32_t number) {
  return Layer::not_read(NotRead::Kind::Tunnel, number);
}

// RFC 7348, 5.
Layer behind_vxlan(const Layer& udp, std::uint64_t& network) {
  constexpr std::uint8_t kHasNumber = 0x08;
  if (!udp.has(8)) return Layer::not_read(NotRead::Kind::Cut);
  if (!(udp.bytes[0] & kHasNumber)) return misunderstood(kVxlan);
  add_network(network, kVxlan, get24(udp.bytes, 4));
  return udp.behind(8, Kind::Ethernet);
}

// RFC 8926, 3.4.
Layer behind_geneve(const Layer& udp, std::uint64_t& network) {
  if (!udp.has(8)) return Layer::not_read(NotRead::Kind::Cut);
  if (udp.bytes[0] >> 6 != 0) return misunderstood(kGeneve);
  add_network(network, kGeneve, get24(udp.bytes, 4));
  return udp.behind(8 + (udp.bytes[0] & 0x3fU) * 4, Kind::EtherType, get16(udp.bytes, 2));
}

// 3GPP TS 29.281, 5. Only user data (type 255) is read.
Layer behind_gtp(const Layer& udp, std::uint64_t& network) {
  constexpr unsigned kVersionAndGtp = 0x30;
  constexpr unsigned kOptional = 0x07;
  constexpr unsigned kExtensions = 0x04;
  constexpr unsigned kUserData = 255;
  if (!udp.has(8)) return Layer::not_read(NotRead::Kind::Cut);
  const unsigned flags = udp.bytes[0];
  if ((flags & 0xf0) != kVersionAndGtp) return misunderstood(kGtpUser);
  if (udp.bytes[1] != kUserData) return Layer::no_mail();
  add_network(network, kGtpUser, get32(udp.bytes, 4));
  std::size_t at = 8;
  if (flags & kOptional) {
    at += 4;
    if (!udp.has(at)) return Layer::not_read(NotRead::Kind::Cut);
    std::uint8_t next = flags & kExtensions ? udp.bytes[at - 1] : 0;
    while (next != 0) {
      if (!udp.has(at + 1)) return Layer::not_read(NotRead::Kind::Cut);
      const std::size_t size = udp.bytes[at] * 4U;
      if (size == 0) return misunderstood(kGtpUser);
      at += size;
      if (!udp.has(at)) return Layer::not_read(NotRead::Kind::Cut);
      next = udp.bytes[at - 1];
    }
  }
  return udp.behind(at, Kind::Ip);
}

// TaZmen Sniffer Protocol: tags, then a frame.
Layer behind_tzsp(const Layer& udp) {
  constexpr std::uint16_t kEthernet = 1;
  constexpr std::uint16_t kWifi = 18;
  constexpr std::uint8_t kPadding = 0;
  constexpr std::uint8_t kEnd = 1;
  if (!udp.has(5)) return Layer::not_read(NotRead::Kind::Cut);
  if (udp.bytes[0] != 1) return misunderstood(kTzsp);
  if (udp.bytes[1] > 1) return Layer::no_mail();  // not a packet: keep-alive or configuration
  const std::uint16_t protocol = get16(udp.bytes, 2);
  if (protocol != kEthernet && protocol != kWifi) return misunderstood(kTzsp);
  for (std::size_t at = 4; at < udp.bytes.size();) {
    const std::uint8_t tag = udp.bytes[at++];
    if (tag == kEnd) return udp.behind(at, protocol == kWifi ? Kind::Wifi : Kind::Ethernet);
    if (tag == kPadding) continue;
    if (at >= udp.bytes.size()) break;
    at += 1U + udp.bytes[at];
  }
  return Layer::not_read(NotRead::Kind::Cut);
}

// draft-foschiano-erspan, types II and III. Type I has no header, and its GRE header has no
// sequence number.
Layer behind_erspan(const Layer& gre, std::uint32_t protocol, bool numbered) {
  constexpr unsigned kFrameType = 0x7c;  // only in type III; 0 is Ethernet, 2 is IP
  constexpr unsigned kIpFrame = 2;
  if (protocol == kErspan) return gre.behind(numbered ? 8 : 0, Kind::Ethernet);
  constexpr std::size_t kHeader = 12;
  if (!gre.has(kHeader)) return Layer::not_read(NotRead::Kind::Cut);
  const std::size_t platform = gre.bytes[11] & 0x01 ? 8 : 0;
  const unsigned frame = (gre.bytes[10] & kFrameType) >> 2;
  return gre.behind(kHeader + platform, frame == kIpFrame ? Kind::Ip : Kind::Ethernet);
}

// RFC 2784 and RFC 2890. Version 1 is used by PPTP (RFC 2637, 4.1).
Layer behind_gre(const Layer& gre, std::uint64_t& network) {
  constexpr unsigned kChecksum = 0x8000;
  constexpr unsigned kRouting = 0x4000;
  constexpr unsigned kKey = 0x2000;
  constexpr unsigned kNumber = 0x1000;
  constexpr unsigned kAcknowledgement = 0x0080;
  if (!gre.has(4)) return Layer::not_read(NotRead::Kind::Cut);
  const unsigned flags = get16(gre.bytes, 0);
  const std::uint32_t protocol = get16(gre.bytes, 2);
  const unsigned version = flags & 0x07;
  if (version > 1 || flags & kRouting) return misunderstood(protocol);
  std::size_t at = 4;
  if (flags & kChecksum) at += 4;
  const bool mirror = protocol == kErspan || protocol == kErspan3;
  if (flags & kKey) {
    if (!gre.has(at + 4)) return Layer::not_read(NotRead::Kind::Cut);
    // PPTP: the key is the length of the payload and the number of the call. Before a mirrored
    // packet the key identifies the mirror, not the network of the packet.
    const std::uint32_t key = version == 1 ? get16(gre.bytes, at + 2) : get32(gre.bytes, at);
    if (!mirror && key != 0) add_network(network, IPPROTO_GRE, key);
    at += 4;
  }
  if (flags & kNumber) at += 4;
  if (version == 1) {
    if (flags & kAcknowledgement) at += 4;
    if (protocol != kPpp) return misunderstood(protocol);
    // Without a sequence number the packet is only an acknowledgement.
    return flags & kNumber ? gre.behind(at, Kind::Ppp) : Layer::no_mail();
  }
  const Layer inner = gre.behind(at, Kind::EtherType, protocol);
  if (inner.kind == Kind::NotRead) return inner;
  if (mirror) return behind_erspan(inner, protocol, flags & kNumber);
  if (protocol == kPpp) return inner.behind(0, Kind::Ppp);
  // WCCP: version 2 has a header of four bytes before IP.
  if (protocol == kWccp) return inner.behind(inner.bytes[0] >> 4 == 4 ? 0 : 4, Kind::Ip);
  return inner;
}

// RFC 2661, 3.1: data messages of version 2.
Layer behind_l2tp(const Layer& udp, std::uint64_t& network) {
  constexpr unsigned kControl = 0x8000;
  constexpr unsigned kLength = 0x4000;
  constexpr unsigned kNumbers = 0x0800;
  constexpr unsigned kOffset = 0x0200;
  if (!udp.has(2)) return Layer::not_read(NotRead::Kind::Cut);
  const unsigned flags = get16(udp.bytes, 0);
  if ((flags & 0x0f) != 2) return misunderstood(kL2tp);
  if (flags & kControl) return Layer::no_mail();
  std::size_t at = flags & kLength ? 4 : 2;
  if (!udp.has(at + 4)) return Layer::not_read(NotRead::Kind::Cut);
  add_network(network, kL2tp, get32(udp.bytes, at));
  at += 4;
  if (flags & kNumbers) at += 4;
  if (flags & kOffset) {
    if (!udp.has(at + 2)) return Layer::not_read(NotRead::Kind::Cut);
    at += 2U + get16(udp.bytes, at);
  }
  return udp.behind(at, Kind::Ppp);
}

Layer behind_udp(const Layer& layer, std::uint64_t& network) {
  constexpr std::size_t kHeader = 8;
  if (!layer.has(kHeader)) return Layer::not_read(NotRead::Kind::Cut);
  const std::uint32_t port = get16(layer.bytes, 2);
  const auto udp = [&] { return layer.behind(kHeader, Kind::IpProtocol, IPPROTO_UDP); };
  switch (port) {
    case kVxlan:
    case kVxlanOld:
      return behind_vxlan(udp(), network);
    case kGeneve:
      return behind_geneve(udp(), network);
    case kGtpUser:
      return behind_gtp(udp(), network);
    case kTzsp:
      return behind_tzsp(udp());
    case kL2tp:
      return behind_l2tp(udp(), network);
    case kGreInUdp:
      return behind_gre(udp(), network);
    case kMplsInUdp:
      return layer.behind(kHeader, Kind::EtherType, kMpls);
    default:
      return Layer::no_mail();
  }
}

}  // namespace

Layer behind_protocol(const Layer& layer, std::uint64_t& network) {
  switch (layer.number) {
    case IPPROTO_IPIP:
    case IPPROTO_IPV6:
    case kIpIpOld:
      return layer.behind(0, Kind::Ip);
    case IPPROTO_UDP:
      return behind_udp(layer, network);
    case IPPROTO_GRE:
      return behind_gre(layer, network);
    case kEtherIp:
      return layer.behind(2, Kind::Ethernet);  // RFC 3378
    case kMplsInIp:
      return layer.behind(0, Kind::EtherType, kMpls);
    case IPPROTO_AH:  // RFC 4302, 2
      if (!layer.has(2)) return Layer::not_read(NotRead::Kind::Cut);
      return layer.behind((layer.bytes[1] + 2U) * 4, Kind::IpProtocol, layer.bytes[0]);
    case IPPROTO_ESP:
      return Layer::not_read(NotRead::Kind::Encrypted, layer.number);
    default:
      if (is_no_tunnel(layer.number)) return Layer::no_mail();
      return Layer::not_read(NotRead::Kind::IpProtocol, layer.number);
  }
}

}  // namespace recorded
