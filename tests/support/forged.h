// Packets of a connection on 127.0.0.1 that its client did not send. TCP refuses them, because they
// have no checksum. The kernel verifies the checksum of a short packet at once, but that of a
// longer packet only after the socket's filter. These packets are long enough. Needs root.
#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "milter/net/address.h"
#include "milter/net/fd.h"

namespace support {

struct Forged {
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  bool syn = false;  // without ACK
  bool urgent = false;
};
inline constexpr std::size_t kForgedPayload = 100;

inline void forge(const net::Endpoint& from, const net::Endpoint& to, const Forged& forged) {
  const net::Fd raw(net::check(socket(AF_INET, SOCK_RAW, IPPROTO_TCP), "raw socket"));
  sockaddr_storage address{};
  const socklen_t size = to.fill(address);
  tcphdr header{};
  header.source = htons(from.port());
  header.dest = htons(to.port());
  header.seq = htonl(forged.seq);
  header.ack_seq = htonl(forged.ack);
  header.doff = 5;
  header.syn = forged.syn;
  header.ack = !forged.syn;
  header.urg = forged.urgent;
  const std::string packet = std::string(reinterpret_cast<const char*>(&header), sizeof header)
                                 .append(kForgedPayload, 'x');
  net::check(static_cast<int>(sendto(raw.get(), packet.data(), packet.size(), 0,
                                     reinterpret_cast<sockaddr*>(&address), size)),
             "send a forged packet");
}

// The sequence numbers of a connected socket: of the next byte that it sends, and that it expects.
struct Numbers {
  std::uint32_t sends = 0;
  std::uint32_t takes = 0;
};

inline Numbers numbers_of(int fd) {
  const auto set = [fd](int option, int value) {
    net::check(setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value), "look at a connection");
  };
  const auto next = [&](int queue) {
    set(TCP_REPAIR_QUEUE, queue);
    std::uint32_t seq = 0;
    socklen_t size = sizeof seq;
    net::check(getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &size), "look at a connection");
    return seq;
  };
  // From an enum in linux/tcp.h, which cannot be included together with netinet/tcp.h.
  constexpr int kReceiveQueue = 1;
  constexpr int kSendQueue = 2;
  constexpr int kOffWithoutProbe = -1;
  set(TCP_REPAIR, 1);
  const Numbers numbers{next(kSendQueue), next(kReceiveQueue)};
  set(TCP_REPAIR, kOffWithoutProbe);
  return numbers;
}

}  // namespace support
