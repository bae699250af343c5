// Reads a capture file and gives its TCP packets: file format by libpcap (pcap in both byte orders,
// microseconds or nanoseconds, the modified format of old kernels, pcapng), link layer and IP here.
//
//     FILE ─► libpcap ─► link layer ─► IPv4, IPv6 ─► TcpPacket ─► tcp_assembly
//
// Everything in a file was written by strangers: each length is checked against what was captured.
// What cannot be used (fragments, other protocols, cut headers) is counted and left out. Nothing is
// copied or allocated a packet. One thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <span>
#include <string>

#include "milter/net/address.h"

struct pcap;

namespace capture {

// An address and a port as a packet has them; IPv4 as ::ffff:a.b.c.d.
struct TcpEnd {
  std::array<std::uint8_t, 16> address{};
  std::uint16_t port = 0;
  bool operator==(const TcpEnd&) const = default;
  net::Endpoint endpoint() const;
};

struct TcpPacket {
  static constexpr std::uint8_t kFin = 0x01;
  static constexpr std::uint8_t kSyn = 0x02;
  static constexpr std::uint8_t kRst = 0x04;
  static constexpr std::uint8_t kPsh = 0x08;
  static constexpr std::uint8_t kAck = 0x10;
  static constexpr std::uint8_t kUrg = 0x20;

  TcpEnd from;
  TcpEnd to;
  std::uint64_t time_ns = 0;
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint8_t flags = 0;
  std::uint32_t option_bytes = 0;         // of the TCP header
  std::uint32_t size = 0;                 // payload on the wire
  std::span<const char> payload;          // of it, what was captured: the beginning
  std::span<const std::uint8_t> headers;  // IP header up to the TCP header's end, for parse_syn()

  bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

class PcapReader {
 public:
  enum class Got : std::uint8_t { Packet, End, Damaged };

  struct Counts {
    std::uint64_t packets = 0;    // in the file
    std::uint64_t tcp = 0;        // given
    std::uint64_t fragments = 0;  // IP fragments, left out
    std::uint64_t cut = 0;        // payload longer than what was captured (snaplen)
  };

  // Takes `file`, positioned at its beginning. Throws std::runtime_error with libpcap's reason when
  // it is no capture, or one of a link type that is not known here.
  explicit PcapReader(std::FILE* file);

  // The next TCP packet; valid up to the next call. Damaged: the file cannot be read from here on,
  // error() says why.
  Got next(TcpPacket& packet);

  const std::string& error() const { return error_; }
  std::uint64_t offset() const;  // in the file, behind the last record that was read
  const Counts& counts() const { return counts_; }

 private:
  struct Close {
    void operator()(pcap* handle) const;
  };

  std::unique_ptr<pcap, Close> handle_;
  std::FILE* file_ = nullptr;  // owned by handle_
  int link_type_ = 0;
  std::string error_;
  Counts counts_;
};

// One frame as captured: `wire_size` bytes on the wire, of which `bytes` are there. For the reader
// and its fuzz target. False: no TCP packet; fragments are counted.
bool parse_frame(int link_type, std::span<const std::uint8_t> bytes, std::uint32_t wire_size,
                 TcpPacket& packet, PcapReader::Counts& counts);

}  // namespace capture
