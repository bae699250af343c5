#include "milter/tcp/syn.h"

#include <fmt/format.h>
#include <netinet/in.h>

#include <cstring>
#include <iterator>

#include "milter/net/bytes.h"

namespace tcp {
namespace {

using net::Bytes;
using net::get16;
using net::get32;

// The part of the signature that comes from the IP header. RFC 791, 3.1; RFC 8200, 3.
struct Ip {
  int version = 4;
  std::size_t header = 0;  // bytes before the TCP header
  std::size_t length = 0;  // of the whole packet, as the header announces it
  int ttl = 0;
  std::size_t options = 0;
  std::string quirks;
  net::Endpoint destination;
};

void add(std::string& list, std::string_view word) {
  if (!list.empty()) list += ',';
  list += word;
}

std::optional<Ip> parse_v4(Bytes packet) {
  if (packet.size() < 20) return std::nullopt;
  Ip ip;
  ip.header = (packet[0] & 0x0f) * 4U;
  if (ip.header < 20 || packet.size() < ip.header + 20 || packet[9] != IPPROTO_TCP) {
    return std::nullopt;
  }
  ip.length = get16(packet, 2);
  ip.ttl = packet[8];
  ip.options = ip.header - 20;
  const bool dont_fragment = packet[6] & 0x40;
  const bool id = get16(packet, 4) != 0;
  if (dont_fragment) add(ip.quirks, "df");
  if (dont_fragment && id) add(ip.quirks, "id+");
  if (!dont_fragment && !id) add(ip.quirks, "id-");
  if (packet[1] & 0x03) add(ip.quirks, "ecn");
  if (packet[6] & 0x80) add(ip.quirks, "0+");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, packet.data() + 16, 4);
  std::memcpy(&address.sin_port, packet.data() + ip.header + 2, 2);
  ip.destination = *net::Endpoint::from(reinterpret_cast<const sockaddr*>(&address));
  return ip;
}

std::optional<Ip> parse_v6(Bytes packet) {
  // An IPv6 SYN with extension headers is legal but practically never sent. Such a client gets no
  // signature.
  if (packet.size() < 60 || packet[6] != IPPROTO_TCP) return std::nullopt;
  Ip ip;
  ip.version = 6;
  ip.header = 40;
  ip.length = ip.header + get16(packet, 4);
  ip.ttl = packet[7];
  if (packet[1] & 0x0f || packet[2] || packet[3]) add(ip.quirks, "flow");
  if (packet[1] & 0x30) add(ip.quirks, "ecn");
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  std::memcpy(&address.sin6_addr, packet.data() + 24, 16);
  std::memcpy(&address.sin6_port, packet.data() + ip.header + 2, 2);
  ip.destination = *net::Endpoint::from(reinterpret_cast<const sockaddr*>(&address));
  return ip;
}

struct Options {
  std::string layout;
  std::string quirks;
  std::uint16_t mss = 0;
  int scale = 0;
  bool timestamps = false;
};

// RFC 9293, 3.2. Each pass consumes at least one byte, so the loop ends for any option list.
Options parse_options(Bytes options) {
  Options out;
  std::size_t at = 0;
  while (at < options.size()) {
    const int kind = options[at];
    if (kind == 0) {
      add(out.layout, fmt::format("eol+{}", options.size() - at - 1));
      break;
    }
    if (kind == 1) {
      add(out.layout, "nop");
      ++at;
      continue;
    }
    if (at + 1 >= options.size() || options[at + 1] < 2 || at + options[at + 1] > options.size()) {
      add(out.quirks, "bad");
      break;
    }
    const std::size_t length = options[at + 1];
    if (kind == 2 && length == 4) {
      out.mss = get16(options, at + 2);
      add(out.layout, "mss");
    } else if (kind == 3 && length == 3) {
      out.scale = options[at + 2];
      add(out.layout, "ws");
      if (out.scale > 14) add(out.quirks, "exws");
    } else if (kind == 4 && length == 2) {
      add(out.layout, "sok");
    } else if (kind == 8 && length == 10) {
      out.timestamps = true;
      add(out.layout, "ts");
      if (get32(options, at + 2) == 0) add(out.quirks, "ts1-");
      if (get32(options, at + 6) != 0) add(out.quirks, "ts2+");
    } else {
      add(out.layout, fmt::format("?{}", kind));
    }
    at += length;
  }
  return out;
}

}  // namespace

std::optional<Syn> parse_syn(std::span<const std::uint8_t> packet) {
  if (packet.empty()) return std::nullopt;
  const int version = packet[0] >> 4;
  std::optional<Ip> ip;
  if (version == 4) ip = parse_v4(packet);
  if (version == 6) ip = parse_v6(packet);
  if (!ip) return std::nullopt;

  const Bytes tcp = packet.subspan(ip->header);  // at least 20 bytes, checked above
  const std::size_t header = (tcp[12] >> 4) * 4U;
  const bool syn = tcp[13] & 0x02;
  if (header < 20 || tcp.size() < header || !syn) return std::nullopt;
  const Options options = parse_options(tcp.subspan(20, header - 20));

  if (tcp[13] & 0xc0) add(ip->quirks, "ecn");
  if (get32(tcp, 4) == 0) add(ip->quirks, "seq-");
  if (!options.quirks.empty()) add(ip->quirks, options.quirks);

  Syn out;
  out.isn = get32(tcp, 4);
  out.mss = options.mss;
  out.timestamps = options.timestamps;
  out.destination = ip->destination;
  out.signature = fmt::format("{}:{}:{}:{}:{},{}:{}:{}:{}", ip->version, ip->ttl, ip->options,
                              options.mss, get16(tcp, 14), options.scale, options.layout,
                              ip->quirks, ip->length > ip->header + header ? "+" : "0");
  return out;
}

}  // namespace tcp
