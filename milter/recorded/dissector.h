// Finds the TCP packet in a captured frame: link layer, tags, tunnels and IP (layer.h), up to a
// bounded number of layers. Of packets within packets the innermost TCP counts. What is not
// understood is counted by kind.
//
// Everything was written by strangers: each length is checked against what was captured. Nothing is
// copied or allocated a packet, but for IP fragments. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "milter/recorded/capture_file.h"
#include "milter/recorded/ip_fragments.h"
#include "milter/recorded/layer.h"
#include "milter/recorded/not_read.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

class Dissector {
 public:
  // Headers within headers; real packets have some ten.
  static constexpr int kMaxLayers = 32;

  // False: the frame has no TCP packet, or none yet, as with the first fragments of one. The packet
  // is valid up to the next call, and no longer than the frame's bytes.
  bool packet(const Frame& frame, TcpPacket& packet);

  const NotRead& not_read() const { return not_read_; }
  const IpFragments::Counts& fragments() const { return fragments_.counts(); }

 private:
  Layer behind_ip(const Layer& ip, TcpPacket& packet);
  Layer behind_v4(const Layer& ip, TcpPacket& packet);
  Layer behind_v6(const Layer& ip, TcpPacket& packet);
  Layer reassembled(const IpFragment& fragment, std::uint64_t time_ns);
  bool tcp(const Layer& layer, TcpPacket& packet);

  IpFragments fragments_;
  NotRead not_read_;
  Bytes ip_;  // from the innermost IP header on
};

}  // namespace recorded
