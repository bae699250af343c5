// Reads a capture and returns its TCP packets.
//
//     bytes ─► capture_file ─► dissector ─► TcpPacket ─► tcp_assembly
//
// Everything that is skipped is counted. One thread.
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
    std::uint64_t tcp = 0;          // returned by next()
    std::uint64_t cut = 0;          // payload longer than the captured part (snap length)
    std::uint64_t mail = 0;         // returned, to or from a mail port
    std::uint64_t mail_filled = 0;  // of these: with payload on the wire
    std::uint64_t mail_seen = 0;    // of these: with captured payload
    std::uint64_t mail_tls = 0;     // of these: beginning as a TLS record
  };

  // Throws std::runtime_error if the bytes are not a capture.
  explicit PcapReader(ReadBytes read) : file_(std::move(read)) {}

  // Reads the next TCP packet, which is valid until the next call. Damaged: the file cannot be read
  // any further, and error() gives the reason.
  Got next(TcpPacket& packet);

  const std::string& error() const { return file_.error(); }
  // Place in the file after the bytes that were read.
  std::uint64_t offset() const { return file_.offset(); }
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
