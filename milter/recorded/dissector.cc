#include "milter/recorded/dissector.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace recorded {
namespace {

using Kind = Layer::Kind;

constexpr std::size_t kV4Header = 20;
constexpr std::size_t kV6Header = 40;
constexpr std::size_t kTcpHeader = 20;

Layer broken() {
  return Layer::not_read(NotRead::Kind::Cut);
}

// The content of an IP packet. It ends where the packet's length says; a frame may have padding
// after it.
Layer carried(const Layer& ip, std::size_t header, std::size_t total, std::uint32_t protocol) {
  if (header >= total) return Layer::no_mail();
  Layer inner = ip.behind(header, Kind::IpProtocol, protocol);
  inner.bytes = inner.bytes.first(std::min(inner.bytes.size(), total - header));
  inner.wire = total - header;
  return inner;
}

}  // namespace

bool Dissector::packet(const Frame& frame, TcpPacket& packet) {
  Layer layer{
      .kind = Kind::Link, .number = frame.link_type, .bytes = frame.bytes, .wire = frame.wire_size};
  // Shortcut for IPv4 in Ethernet, which nearly all packets are.
  constexpr std::size_t kEthernetHeader = 14;
  if (frame.link_type == 1 && frame.bytes.size() > kEthernetHeader &&
      get16(frame.bytes, 12) == 0x0800) {
    layer = layer.behind(kEthernetHeader, Kind::Ip);
  }
  packet.time_ns = frame.time_ns;
  packet.network = 0;
  for (int layers = 0; layers < kMaxLayers; ++layers) {
    switch (layer.kind) {
      case Kind::Link:
        layer = behind_link(layer);
        break;
      case Kind::Ethernet:
        layer = behind_ethernet(layer);
        break;
      case Kind::EtherType:
        layer = behind_ethertype(layer, packet.network);
        break;
      case Kind::Ppp:
        layer = behind_ppp(layer);
        break;
      case Kind::Wifi:
        layer = behind_wifi(layer);
        break;
      case Kind::Ip:
        layer = behind_ip(layer, packet);
        break;
      case Kind::IpProtocol:
        if (layer.number == IPPROTO_TCP) return tcp(layer, packet);
        layer = behind_protocol(layer, packet.network);
        break;
      case Kind::NoMail:
        return false;
      case Kind::NotRead:
        not_read_.add(layer.why, layer.number);
        return false;
    }
  }
  not_read_.add(NotRead::Kind::Nested, 0);
  return false;
}

Layer Dissector::behind_ip(const Layer& ip, TcpPacket& packet) {
  ip_ = ip.bytes;
  switch (ip.bytes[0] >> 4) {
    case 4:
      return behind_v4(ip, packet);
    case 6:
      return behind_v6(ip, packet);
    default:
      return broken();
  }
}

Layer Dissector::reassembled(const IpFragment& fragment, std::uint64_t time_ns) {
  const auto whole = fragments_.add(fragment, time_ns);
  if (!whole) return Layer::no_mail();  // IpFragments counts it if it never becomes complete
  return {.kind = Kind::Ip, .number = 0, .bytes = whole->bytes, .wire = whole->wire};
}

Layer Dissector::behind_v4(const Layer& ip, TcpPacket& packet) {
  constexpr std::uint16_t kMoreOrOffset = 0x3fff;
  constexpr std::uint16_t kMore = 0x2000;
  constexpr std::size_t kPrefix = 12;
  if (!ip.has(kV4Header)) return broken();
  const std::size_t header = (ip.bytes[0] & 0x0f) * 4U;
  std::size_t total = get16(ip.bytes, 2);
  // A packet that the network card will cut itself (TSO) has a length of 0.
  if (total == 0) total = ip.wire;
  if (header < kV4Header || total < header) return broken();
  packet.from.address = packet.to.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::memcpy(&packet.from.address[kPrefix], &ip.bytes[12], 4);
  std::memcpy(&packet.to.address[kPrefix], &ip.bytes[16], 4);
  packet.ip_id = get16(ip.bytes, 4);
  packet.hops = ip.bytes[8];
  const std::uint8_t protocol = ip.bytes[9];
  const std::uint16_t piece = get16(ip.bytes, 6);
  if ((piece & kMoreOrOffset) == 0) return carried(ip, header, total, protocol);
  const Layer data = carried(ip, header, total, protocol);
  if (data.kind != Kind::IpProtocol) return data;
  return reassembled({.v6 = false,
                      .from = packet.from.address,
                      .to = packet.to.address,
                      .id = packet.ip_id,
                      .protocol = protocol,
                      .network = packet.network,
                      .offset = (piece & 0x1fffU) * 8,
                      .more = (piece & kMore) != 0,
                      .header = ip.bytes.first(header),
                      .data = data.bytes,
                      .size = data.wire},
                     packet.time_ns);
}

Layer Dissector::behind_v6(const Layer& ip, TcpPacket& packet) {
  constexpr std::size_t kNextHeader = 6;
  constexpr int kMaxExtensions = 16;  // chosen; RFC 8200, 4.1, recommends at most seven
  if (!ip.has(kV6Header)) return broken();
  std::size_t header = kV6Header;
  std::size_t total = kV6Header + get16(ip.bytes, 4);
  if (total == kV6Header) total = ip.wire;  // TSO, or a jumbogram (RFC 2675)
  std::memcpy(packet.from.address.data(), &ip.bytes[8], 16);
  std::memcpy(packet.to.address.data(), &ip.bytes[24], 16);
  packet.ip_id = 0;
  packet.hops = ip.bytes[7];
  std::size_t named_at = kNextHeader;
  for (int extensions = 0; extensions < kMaxExtensions; ++extensions) {  // RFC 8200, 4
    const std::uint8_t next = ip.bytes[named_at];
    const bool known = next == IPPROTO_FRAGMENT || next == IPPROTO_HOPOPTS ||
                       next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_AH;
    if (!known) return carried(ip, header, total, next);
    if (!ip.has(header + 8)) return broken();
    const std::size_t length = ip.bytes[header + 1];
    if (next == IPPROTO_FRAGMENT) {
      constexpr std::uint16_t kOffsetOrMore = 0xfff9;
      const std::uint16_t piece = get16(ip.bytes, header + 2);
      if (piece & kOffsetOrMore) {
        const Layer data = carried(ip, header + 8, total, next);
        if (data.kind != Kind::IpProtocol) return data;
        return reassembled({.v6 = true,
                            .from = packet.from.address,
                            .to = packet.to.address,
                            .id = get32(ip.bytes, header + 4),
                            .protocol = ip.bytes[header],
                            .network = packet.network,
                            .offset = piece & 0xfff8U,
                            .more = (piece & 1) != 0,
                            .header = ip.bytes.first(header),
                            .next_header = named_at,
                            .data = data.bytes,
                            .size = data.wire},
                           packet.time_ns);
      }
      named_at = header;
      header += 8;
      continue;
    }
    named_at = header;
    header += next == IPPROTO_AH ? (length + 2) * 4 : (length + 1) * 8;
  }
  return Layer::not_read(NotRead::Kind::Nested);
}

bool Dissector::tcp(const Layer& layer, TcpPacket& packet) {
  // The bytes up to the flags. If these were captured, the end of the header and the size of the
  // payload are known.
  constexpr std::size_t kLeast = 14;
  const Bytes tcp = layer.bytes;
  const std::size_t header = layer.has(kLeast) ? (tcp[12] >> 4) * 4U : 0;  // RFC 9293, 3.1
  if (header < kTcpHeader || header > layer.wire) {
    not_read_.add(NotRead::Kind::Cut, 0);
    return false;
  }
  const std::size_t captured = std::min(header, tcp.size());
  packet.from.port = get16(tcp, 0);
  packet.to.port = get16(tcp, 2);
  packet.seq = get32(tcp, 4);
  packet.ack = get32(tcp, 8);
  packet.flags = tcp[13];
  packet.window_closed = layer.has(16) && get16(tcp, 14) == 0;
  packet.option_bytes = static_cast<std::uint32_t>(header - kTcpHeader);
  packet.options =
      tcp.subspan(std::min(kTcpHeader, captured), captured - std::min(kTcpHeader, captured));
  packet.size = static_cast<std::uint32_t>(layer.wire - header);
  const Bytes payload = tcp.subspan(captured);
  packet.payload = {reinterpret_cast<const char*>(payload.data()), payload.size()};
  packet.headers = ip_.first(static_cast<std::size_t>(tcp.data() - ip_.data()) + captured);
  return true;
}

}  // namespace recorded
