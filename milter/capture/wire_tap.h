// The passive capture: an eBPF program on an AF_PACKET socket (wire.bpf.c), and a ring buffer with
// the events it reports. The program sees every packet of the machine, and no packet is copied to
// the socket. It serves a Postfix that keeps its own port: no part of segmilter is then in the path
// of the mail.
//
// Opening needs CAP_NET_RAW, CAP_BPF and CAP_NET_ADMIN, and Linux 5.17 (bpf_loop). Reading needs no
// rights: a process that is forked after the constructor can keep using the ring without rights.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "milter/capture/wire_event.h"
#include "milter/net/address.h"

namespace capture {

// The report of one packet, before TCP has checked it. A client's packet was checked for only two
// things: its sequence number is close to what the server has acknowledged, and it acknowledges
// bytes that the server has sent.
//
// A note (`note`) is not a packet. It comes before the packet it belongs to, in the same direction,
// and has more of that packet's records or bytes.
//
// The spans are valid only during the call that passes the packet.
struct WirePacket {
  static constexpr std::size_t kMostMarked = 64;

  net::Endpoint client;
  net::Endpoint server;
  bool from_server = false;
  bool note = false;           // records of the next packet, or bytes of it from `seq` on
  std::uint8_t tcp_flags = 0;  // RFC 9293, 3.1
  std::uint32_t seq = 0;       // of the first payload byte; for a SYN: the SYN's own
  std::uint32_t ack = 0;
  // For a client's packet other than a SYN: the sequence number up to which the server had
  // acknowledged the client's stream when the packet came.
  std::uint32_t taken = 0;
  std::uint32_t size = 0;      // payload bytes
  std::uint16_t gso_size = 0;  // payload of each segment of a super-packet; 0: one segment
  std::uint64_t time_ns = 0;   // CLOCK_MONOTONIC
  // Bit i: segment i of a super-packet ends with LF, or with CR. Covers the first kMostMarked
  // segments.
  std::uint64_t line_feeds = 0;
  std::uint64_t returns = 0;
  // First bytes of the payload; for a SYN: the packet from its IP header on.
  std::span<const char> head;
  std::span<const char> tail;  // last bytes of the payload
  std::span<const WireRecord> records;
};

class WireTap {
 public:
  // Chosen, not measured: the kernel program compares each packet of the machine with all of them.
  static constexpr std::size_t kMostPorts = 8;

  struct Settings {
    std::vector<std::uint16_t> ports{25};  // at most kMostPorts
    std::string interface;                 // empty: all interfaces
    std::size_t ring_bytes = 4 << 20;      // a power of two, at least a page
    // Connections; one more evicts the one unused for longest.
    std::size_t max_flows = 20'000;
  };

  class Sink {
   public:
    virtual ~Sink() = default;
    virtual void packet(const WirePacket& packet) = 0;
  };

  // Throws std::runtime_error or std::system_error that names what is missing (right, kernel,
  // interface).
  explicit WireTap(const Settings& settings);
  ~WireTap();
  WireTap(const WireTap&) = delete;
  WireTap& operator=(const WireTap&) = delete;

  // Passes on all events in the ring, in the order of the packets. Returns false if an event that
  // was begun before the call is not finished yet; then the events after it must wait too. One
  // caller at a time.
  bool drain(Sink& sink);
  // A file descriptor that becomes readable (epoll) when a quarter of the ring is full.
  int fd() const;
  // The number of events that were lost because the ring was full.
  std::uint64_t dropped() const;
  // True if an event of this client, or of another client in its slot, was lost since the last call
  // of mark() but one. Before the second call of mark(): true if such an event was ever lost.
  bool missed(const net::Endpoint& client) const;
  void mark();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace capture
