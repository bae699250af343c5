// Reads a capture and gives its TCP packets.
//
//     bytes ─► capture_file ─► dissector ─► TcpPacket ─► tcp_assembly
//
// What is left out is counted. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "milter/recorded/capture_file.h"
#include "milter/recorded/dissector.h"
#include "milter/recorded/tcp_packet.h"

namespace recorded {

class PcapReader {
 public:
  enum class Got : std::uint8_t { Packet, End, Damaged };

  struct Counts {
    std::uint64_t packets = 0;      // in the file
    std::uint64_t tcp = 0;          // given
    std::uint64_t cut = 0;          // payload longer than what was captured (snaplen)
    std::uint64_t mail = 0;         // given, to or from a mail port
    std::uint64_t mail_filled = 0;  // of them, with payload on the wire
    std::uint64_t mail_seen = 0;    // of them, with payload that was captured
    std::uint64_t mail_tls = 0;     // of them, beginning as a record of TLS
  };

  // Throws std::runtime_error when it is no capture.
  explicit PcapReader(ReadBytes read) : file_(std::move(read)) {}

  // The next TCP packet; valid up to the next call. Damaged: the file cannot be read from here on,
  // error() says why.
  Got next(TcpPacket& packet);

  const std::string& error() const { return file_.error(); }
  std::uint64_t offset() const { return file_.offset(); }  // in the file, behind what was read
  const Counts& counts() const { return counts_; }
  const IpFragments::Counts& fragments() const { return dissector_.fragments(); }
  const NotRead& not_read() const { return dissector_.not_read(); }

 private:
  void count(const TcpPacket& packet);

  CaptureFile file_;
  Dissector dissector_;
  Counts counts_;
};

}  // namespace recorded
