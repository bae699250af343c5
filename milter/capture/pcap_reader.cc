// Link layers end in an ethertype or in nothing; then IP's first nibble tells the version. Sizes
// are kept twice: what the wire carried, which makes the segment, and what was captured, which may
// be read.
#include "milter/capture/pcap_reader.h"

#include <fmt/format.h>
#include <netinet/in.h>
#include <pcap/pcap.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>

namespace capture {
namespace {

using Bytes = std::span<const std::uint8_t>;

constexpr std::uint16_t kIpv4 = 0x0800;
constexpr std::uint16_t kIpv6 = 0x86dd;
constexpr std::uint16_t kMplsUnicast = 0x8847;
constexpr std::uint16_t kMplsMulticast = 0x8848;
constexpr std::uint16_t kPppoeSession = 0x8864;
constexpr std::uint16_t kPppIpv4 = 0x0021;
constexpr std::uint16_t kPppIpv6 = 0x0057;
constexpr std::uint16_t kMaxLength = 1500;  // IEEE 802.3: up to here a length, not a type

// Tags and labels in front of IP; real stacks have three at most.
constexpr int kMaxTags = 16;

std::uint16_t get16(Bytes bytes, std::size_t at) {
  return static_cast<std::uint16_t>(bytes[at] << 8 | bytes[at + 1]);
}

std::uint32_t get32(Bytes bytes, std::size_t at) {
  return std::uint32_t{get16(bytes, at)} << 16 | get16(bytes, at + 2);
}

bool is_vlan(std::uint16_t type) {
  return type == 0x8100 || type == 0x88a8 || type == 0x9100 || type == 0x9200;
}

std::optional<std::size_t> behind_ppp(Bytes frame, std::size_t at) {
  if (at + 2 <= frame.size() && frame[at] == 0xff && frame[at + 1] == 0x03) at += 2;
  if (at + 2 > frame.size()) return std::nullopt;
  const std::uint16_t protocol = get16(frame, at);
  if (protocol != kPppIpv4 && protocol != kPppIpv6) return std::nullopt;
  return at + 2;
}

// From an ethertype at `at`: where IP begins.
std::optional<std::size_t> behind_types(Bytes frame, std::size_t at) {
  for (int tags = 0; tags < kMaxTags && at + 2 <= frame.size(); ++tags) {
    const std::uint16_t type = get16(frame, at);
    at += 2;
    if (type == kIpv4 || type == kIpv6) return at;
    if (is_vlan(type)) {
      at += 2;
    } else if (type == kPppoeSession) {
      return behind_ppp(frame, at + 6);  // RFC 2516, 4
    } else if (type == kMplsUnicast || type == kMplsMulticast) {
      for (int labels = 0; labels < kMaxTags && at + 4 <= frame.size(); ++labels) {
        at += 4;
        if (frame[at - 2] & 0x01) return at;  // RFC 3032, 2.1: bottom of stack
      }
      return std::nullopt;
    } else if (type <= kMaxLength && at + 6 <= frame.size() && frame[at] == 0xaa &&
               frame[at + 1] == 0xaa) {
      at += 6;  // RFC 1042: LLC and SNAP, then a type again
    } else {
      return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> behind_link(int link_type, Bytes frame) {
  switch (link_type) {
    case DLT_EN10MB:
      return behind_types(frame, 12);
    case DLT_LINUX_SLL:
      return behind_types(frame, 14);
    case DLT_LINUX_SLL2: {
      if (frame.size() < 20) return std::nullopt;
      const std::uint16_t type = get16(frame, 0);
      if (type == kIpv4 || type == kIpv6) return 20;
      // The tag's type is at the front, what it tags behind the header.
      return is_vlan(type) ? behind_types(frame, 22) : std::nullopt;
    }
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return 0;
    case DLT_NULL:
    case DLT_LOOP:
      return 4;  // an address family that differs by system: IP's own version is asked instead
    case DLT_PPP:
    case DLT_PPP_SERIAL:
      return behind_ppp(frame, 0);
    case DLT_PPP_ETHER:
      return behind_ppp(frame, 6);
    default:
      return std::nullopt;
  }
}

bool known_link(int link_type) {
  constexpr std::array kKnown = {DLT_EN10MB, DLT_LINUX_SLL,  DLT_LINUX_SLL2, DLT_RAW,
                                 DLT_IPV4,   DLT_IPV6,       DLT_NULL,       DLT_LOOP,
                                 DLT_PPP,    DLT_PPP_SERIAL, DLT_PPP_ETHER};
  return std::find(kKnown.begin(), kKnown.end(), link_type) != kKnown.end();
}

// An IP packet: where TCP begins and where the packet ends on the wire.
struct Ip {
  std::size_t header = 0;
  std::size_t total = 0;
};

std::optional<Ip> parse_v4(Bytes packet, std::size_t wire, TcpPacket& out,
                           PcapReader::Counts& counts) {
  if (packet.size() < 20) return std::nullopt;
  Ip ip{.header = (packet[0] & 0x0f) * 4U, .total = get16(packet, 2)};
  if (packet[9] != IPPROTO_TCP || ip.header < 20) return std::nullopt;
  constexpr std::uint16_t kMoreOrOffset = 0x3fff;
  if (get16(packet, 6) & kMoreOrOffset) {
    ++counts.fragments;
    return std::nullopt;
  }
  // A card that cuts large packets itself (TSO) is handed a length of 0.
  if (ip.total == 0) ip.total = wire;
  constexpr std::size_t kPrefix = 12;
  out.from.address = out.to.address = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::memcpy(&out.from.address[kPrefix], &packet[12], 4);
  std::memcpy(&out.to.address[kPrefix], &packet[16], 4);
  return ip;
}

std::optional<Ip> parse_v6(Bytes packet, std::size_t wire, TcpPacket& out,
                           PcapReader::Counts& counts) {
  constexpr std::size_t kHeader = 40;
  if (packet.size() < kHeader) return std::nullopt;
  Ip ip{.header = kHeader, .total = kHeader + get16(packet, 4)};
  if (ip.total == kHeader) ip.total = wire;  // TSO, or a jumbogram (RFC 2675)
  std::memcpy(out.from.address.data(), &packet[8], 16);
  std::memcpy(out.to.address.data(), &packet[24], 16);
  std::uint8_t next = packet[6];
  for (int headers = 0; headers < kMaxTags; ++headers) {  // RFC 8200, 4
    if (next == IPPROTO_TCP) return ip;
    if (ip.header + 8 > packet.size()) return std::nullopt;
    const std::uint8_t* at = &packet[ip.header];
    switch (next) {
      case IPPROTO_FRAGMENT: {
        constexpr std::uint16_t kOffsetOrMore = 0xfff9;
        if (get16(packet, ip.header + 2) & kOffsetOrMore) {
          ++counts.fragments;
          return std::nullopt;
        }
        ip.header += 8;
        break;
      }
      case IPPROTO_HOPOPTS:
      case IPPROTO_ROUTING:
      case IPPROTO_DSTOPTS:
        ip.header += (at[1] + 1U) * 8;
        break;
      case IPPROTO_AH:
        ip.header += (at[1] + 2U) * 4;
        break;
      default:
        return std::nullopt;
    }
    next = at[0];
  }
  return std::nullopt;
}

bool parse_ip(Bytes packet, std::size_t wire, TcpPacket& out, PcapReader::Counts& counts) {
  if (packet.empty()) return false;
  std::optional<Ip> ip;
  if (packet[0] >> 4 == 4) ip = parse_v4(packet, wire, out, counts);
  if (packet[0] >> 4 == 6) ip = parse_v6(packet, wire, out, counts);
  if (!ip || ip->header + 20 > packet.size()) return false;
  const Bytes tcp = packet.subspan(ip->header);
  const std::size_t header = (tcp[12] >> 4) * 4U;  // RFC 9293, 3.1
  const std::size_t begin = ip->header + header;
  if (header < 20 || begin > packet.size() || ip->total < begin) return false;
  out.from.port = get16(tcp, 0);
  out.to.port = get16(tcp, 2);
  out.seq = get32(tcp, 4);
  out.ack = get32(tcp, 8);
  out.flags = tcp[13];
  out.option_bytes = static_cast<std::uint32_t>(header - 20);
  out.size = static_cast<std::uint32_t>(ip->total - begin);
  const Bytes payload = packet.subspan(begin, std::min(packet.size() - begin, ip->total - begin));
  out.payload = {reinterpret_cast<const char*>(payload.data()), payload.size()};
  out.headers = packet.first(begin);
  if (out.payload.size() < out.size) ++counts.cut;
  return true;
}

}  // namespace

net::Endpoint TcpEnd::endpoint() const {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, address.data(), address.size());
  return net::Endpoint::from(reinterpret_cast<const sockaddr*>(&v6)).value_or(net::Endpoint{});
}

bool parse_frame(int link_type, Bytes bytes, std::uint32_t wire_size, TcpPacket& packet,
                 PcapReader::Counts& counts) {
  const auto ip = behind_link(link_type, bytes);
  if (!ip || *ip >= bytes.size() || *ip >= wire_size) return false;
  if (!parse_ip(bytes.subspan(*ip), wire_size - *ip, packet, counts)) return false;
  ++counts.tcp;
  return true;
}

void PcapReader::Close::operator()(pcap* handle) const {
  pcap_close(handle);
}

PcapReader::PcapReader(std::FILE* file) : file_(file) {
  char reason[PCAP_ERRBUF_SIZE] = "";
  handle_.reset(pcap_fopen_offline_with_tstamp_precision(file, PCAP_TSTAMP_PRECISION_NANO, reason));
  if (!handle_) {
    std::fclose(file);
    throw std::runtime_error(reason);
  }
  link_type_ = pcap_datalink(handle_.get());
  if (!known_link(link_type_)) {
    const char* name = pcap_datalink_val_to_name(link_type_);
    throw std::runtime_error(fmt::format("link type {} ({}) is not known here", link_type_,
                                         name == nullptr ? "without a name" : name));
  }
}

PcapReader::Got PcapReader::next(TcpPacket& packet) {
  constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
  for (;;) {
    pcap_pkthdr* header = nullptr;
    const u_char* data = nullptr;
    const int got = pcap_next_ex(handle_.get(), &header, &data);
    if (got == PCAP_ERROR_BREAK) return Got::End;
    if (got != 1) {
      error_ = pcap_geterr(handle_.get());
      return Got::Damaged;
    }
    ++counts_.packets;
    // A record that says it has more bytes than the wire had contradicts itself; what is there
    // counts.
    const std::uint32_t wire = std::max(header->len, header->caplen);
    if (!parse_frame(link_type_, {data, header->caplen}, wire, packet, counts_)) continue;
    packet.time_ns = static_cast<std::uint64_t>(header->ts.tv_sec) * kNsPerSecond +
                     static_cast<std::uint64_t>(header->ts.tv_usec);
    return Got::Packet;
  }
}

std::uint64_t PcapReader::offset() const {
  const off_t at = ftello(file_);
  return at < 0 ? 0 : static_cast<std::uint64_t>(at);
}

}  // namespace capture
