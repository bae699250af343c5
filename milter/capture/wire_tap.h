// The passive capture: an eBPF program on an AF_PACKET socket that sees every packet and copies
// none to it (wire.bpf.c), and a ring buffer that carries what it passes on. For a Postfix that
// keeps its port to itself: nothing of ours is in the way of the mail.
//
// Opening needs CAP_NET_RAW, CAP_BPF and CAP_NET_ADMIN, and Linux 5.17 (bpf_loop); reading does not
// need any: a process forked after the constructor keeps using it without rights.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "milter/capture/wire_event.h"
#include "milter/net/address.h"

namespace capture {

// What is passed of one packet, before TCP has looked at it: of a client's, only that it lies near
// what the server has acknowledged, and acknowledges what the server has said. Or, as a note in
// front of it, more of the packet that follows it in its direction. The spans are valid during the
// call that hands it over.
struct WirePacket {
  static constexpr std::size_t kMostMarked = 64;

  net::Endpoint client;
  net::Endpoint server;
  bool from_server = false;
  bool note = false;           // no packet: records of the next one, or bytes of it from `seq` on
  std::uint8_t tcp_flags = 0;  // RFC 9293, 3.1
  std::uint32_t seq = 0;       // of the first payload byte (of a SYN: of the SYN)
  std::uint32_t ack = 0;
  // Of a client's packet that is no SYN: up to which sequence number the server had acknowledged
  // its stream when the packet came.
  std::uint32_t taken = 0;
  std::uint32_t size = 0;      // payload
  std::uint16_t gso_size = 0;  // of the segments of a super-packet; 0: one segment
  std::uint64_t time_ns = 0;   // CLOCK_MONOTONIC
  // Bit i: the i-th of the first kMostMarked segments of a super-packet ends with LF, with CR.
  std::uint64_t line_feeds = 0;
  std::uint64_t returns = 0;
  std::span<const char> head;  // first bytes of the payload; of a SYN the packet from its IP header
  std::span<const char> tail;  // last bytes of the payload
  std::span<const WireRecord> records;
};

class WireTap {
 public:
  static constexpr std::size_t kMostPorts = 8;

  struct Settings {
    std::vector<std::uint16_t> ports{25};  // at most kMostPorts
    std::string interface;                 // empty: all
    std::size_t ring_bytes = 4 << 20;      // a power of two, at least a page
    std::size_t max_flows = 20'000;        // connections; beyond, the one unused longest goes
  };

  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void packet(const WirePacket& packet) = 0;
  };

  // Throws std::runtime_error or std::system_error that say what is missing (right, kernel,
  // interface).
  explicit WireTap(const Settings& settings);
  ~WireTap();
  WireTap(const WireTap&) = delete;
  WireTap& operator=(const WireTap&) = delete;

  // Hands over all that is in the ring, in the order of the packets. False: a processor is still at
  // work on an event that was begun before, and what is behind it has to wait. One caller at a
  // time.
  bool drain(Sink& sink);
  // Becomes readable (epoll) when a quarter of the ring is full.
  int fd() const;
  // Events that found the ring full.
  std::uint64_t dropped() const;
  // Whether events of this client, or of another one of its slot, found it full since the last call
  // but one of mark(), or ever, before there were two.
  bool missed(const net::Endpoint& client) const;
  void mark();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
