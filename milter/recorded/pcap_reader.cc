#include "milter/recorded/pcap_reader.h"

#include <netinet/in.h>

#include <cstring>

namespace recorded {

net::Endpoint TcpEnd::endpoint() const {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  std::memcpy(&v6.sin6_addr, address.data(), address.size());
  return net::Endpoint::from(reinterpret_cast<const sockaddr*>(&v6)).value_or(net::Endpoint{});
}

PcapReader::Got PcapReader::next(TcpPacket& packet) {
  Frame frame;
  for (;;) {
    switch (file_.next(frame)) {
      case CaptureFile::Got::Frame:
        break;
      case CaptureFile::Got::End:
        return Got::End;
      case CaptureFile::Got::Damaged:
        return Got::Damaged;
    }
    ++counts_.packets;
    if (!dissector_.packet(frame, packet)) continue;
    count(packet);
    return Got::Packet;
  }
}

void PcapReader::count(const TcpPacket& packet) {
  ++counts_.tcp;
  if (packet.payload.size() < packet.size) ++counts_.cut;
  if (!is_mail_port(packet.from.port) && !is_mail_port(packet.to.port)) return;
  ++counts_.mail;
  if (packet.size != 0) ++counts_.mail_filled;
  if (!packet.payload.empty()) ++counts_.mail_seen;
  // RFC 8446, 5.1: record types 20 to 23, then the first byte of the version.
  const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(packet.payload[at]); };
  if (packet.payload.size() > 2 && byte(0) >= 20 && byte(0) <= 23 && byte(1) == 3) {
    ++counts_.mail_tls;
  }
}

}  // namespace recorded
