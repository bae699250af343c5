// One SMTP connection as the wire tap passes it on, packet by packet. Of a message it passes the
// ends of each packet, under TLS the ends and the headers of the records, and everything else
// whole.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milter/capture/wire_tap.h"
#include "milter/tcp/flags.h"

namespace support {

class WireScript {
 public:
  enum class Passed { Whole, Ends, Records };

  static constexpr std::uint32_t kClientFirst = 0xfffffff0;  // wraps around early in the session
  static constexpr std::uint32_t kServerFirst = 77;

  explicit WireScript(capture::WireTap::Sink& sink, std::string_view client = "192.0.2.7:40112")
      : sink_(sink), client_(*net::Endpoint::parse(client)) {}

  void syn(std::uint32_t first = kClientFirst) {
    client_first_ = first;
    give(false, first - 1, {}, Passed::Whole, tcp::kSyn);
  }
  // A SYN with payload: TCP Fast Open. What the tap passes of a SYN begins with the packet's
  // headers.
  void syn_with(std::string_view bytes) {
    const std::string head = std::string(40, '\0') + std::string(bytes);
    capture::WirePacket packet = packet_of(false, 0, bytes.size());
    packet.seq = client_first_ - 1;
    packet.tcp_flags = tcp::kSyn;
    packet.head = head;
    now_ns += 1'000'000;
    sink_.packet(packet);
  }
  void syn_ack() { give(true, kServerFirst - 1, {}, Passed::Whole, tcp::kSyn); }
  void ack() { give(false, client_first_, {}, Passed::Whole, 0); }
  void handshake() {
    syn();
    syn_ack();
    ack();
  }

  // The next bytes of each side in one packet.
  void client(std::string_view bytes, Passed passed = Passed::Whole) {
    client_at(client_sent_, bytes, passed);
    client_sent_ += bytes.size();
  }
  void server(std::string_view bytes, Passed passed = Passed::Whole) {
    give(true, kServerFirst + static_cast<std::uint32_t>(server_sent_), bytes, passed, 0);
    server_sent_ += bytes.size();
  }
  // The next bytes in one super-packet, with segments of `unit` bytes.
  void client_super(std::string_view bytes, std::uint16_t unit) {
    unit_ = unit;
    client(bytes, Passed::Ends);
    unit_ = 0;
  }
  // Bytes at another place of the stream: late, or sent again.
  void client_at(std::uint64_t offset, std::string_view bytes, Passed passed = Passed::Whole) {
    give(false, client_first_ + static_cast<std::uint32_t>(offset), bytes, passed, 0);
  }
  // The server acknowledges what was sent so far, without sending anything itself.
  void acknowledge() { acknowledged_ = client_sent_; }
  // Bytes for which the tap had no room.
  void client_unseen(std::size_t size) { client_sent_ += size; }
  void client_flags(std::uint8_t flags, std::uint64_t offset) {
    give(false, client_first_ + static_cast<std::uint32_t>(offset), {}, Passed::Whole, flags);
  }
  void server_fin() {
    give(true, kServerFirst + static_cast<std::uint32_t>(server_sent_), {}, Passed::Whole,
         tcp::kFin);
  }
  // The headers of the records that begin in `bytes`, as a note that comes before the packet at
  // `offset`.
  void note_client(std::uint64_t offset, std::string_view bytes) {
    const auto records = records_of(bytes);
    capture::WirePacket packet = packet_of(false, offset, bytes.size());
    packet.note = true;
    packet.records = records;
    sink_.packet(packet);
  }

  std::uint64_t client_sent() const { return client_sent_; }
  const net::Endpoint& client_address() const { return client_; }
  std::uint64_t now_ns = 1'000'000;  // time of the next packet; each takes a millisecond

 private:
  capture::WirePacket packet_of(bool from_server, std::uint64_t offset, std::size_t size) {
    capture::WirePacket packet;
    packet.client = client_;
    packet.server = *net::Endpoint::parse("198.51.100.25:25");
    packet.from_server = from_server;
    packet.seq = client_first_ + static_cast<std::uint32_t>(offset);
    packet.size = static_cast<std::uint32_t>(size);
    packet.time_ns = now_ns;
    if (from_server) acknowledged_ = client_sent_;
    packet.ack = from_server ? client_first_ + static_cast<std::uint32_t>(client_sent_)
                             : kServerFirst + static_cast<std::uint32_t>(server_sent_);
    packet.taken = client_first_ + static_cast<std::uint32_t>(acknowledged_);
    return packet;
  }

  // The records in `bytes`. Requires: they are complete.
  static std::vector<capture::WireRecord> records_of(std::string_view bytes) {
    std::vector<capture::WireRecord> records;
    for (std::size_t at = 0; at + 5 <= bytes.size();) {
      const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(bytes[at + i]); };
      const auto length = static_cast<std::uint16_t>(byte(3) << 8 | byte(4));
      records.push_back({static_cast<std::int32_t>(at), length, byte(0), byte(2)});
      at += 5U + length;
    }
    return records;
  }

  void give(bool from_server, std::uint32_t seq, std::string_view bytes, Passed passed,
            std::uint8_t flags) {
    constexpr std::size_t kHead = 32;
    constexpr std::size_t kTail = 16;
    const std::string_view head = passed == Passed::Whole ? bytes : bytes.substr(0, kHead);
    const std::string_view tail = bytes.substr(bytes.size() - std::min(bytes.size(), kTail));
    std::vector<capture::WireRecord> records;
    if (passed == Passed::Records) records = records_of(bytes);
    capture::WirePacket packet = packet_of(from_server, 0, bytes.size());
    packet.seq = seq;
    packet.tcp_flags = flags;
    packet.head = head;
    packet.tail = tail;
    packet.records = records;
    packet.gso_size = unit_;
    now_ns += 1'000'000;
    sink_.packet(packet);
  }

  capture::WireTap::Sink& sink_;
  const net::Endpoint client_;
  std::uint32_t client_first_ = kClientFirst;
  std::uint64_t client_sent_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::uint16_t unit_ = 0;
  std::uint64_t server_sent_ = 0;
};

}  // namespace support
