// Finds the TCP packet in a captured frame. It goes through link layer, tags, tunnels and IP
// (layer.h), up to a limited number of layers. If packets are inside other packets, the innermost
// TCP packet is used. Frames that are not understood are counted by kind.
//
// All input is untrusted: each length is checked against the captured bytes. Nothing is copied or
// allocated for a packet, except IP fragments. One thread.
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
  // The most layers of one frame. Real packets have about ten.
  static constexpr int kMaxLayers = 32;

  // Returns false if the frame has no TCP packet, or only a fragment of one that is not complete
  // yet. The packet is valid until the next call, and only as long as the frame's bytes are.
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
  Bytes ip_;  // the packet from its innermost IP header on
};

}  // namespace recorded
