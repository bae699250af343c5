// Makes captures in memory: TCP sessions packet by packet, frames of any link type, pcap files.
//
//     Conversation talk; talk.open(); talk.server("220 hi\r\n"); … talk.packets in the order made
//
// A test takes the packets, leaves some out or reorders them, and gives them to an assembly, or
// puts them into a file. Test code only; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "milter/recorded/pcap_reader.h"

namespace support {

inline void put16(std::string& out, unsigned value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value);
}
inline void put32(std::string& out, std::uint32_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

// A TCP packet with its payload.
struct Packet {
  bool from_client = true;
  std::uint32_t seq = 0;
  std::uint32_t ack = 0;
  std::uint8_t flags = 0;
  std::string options;
  std::string payload;
  std::uint32_t wire_size = 0;  // size of the payload before the capture cut it; 0: it was not cut
  std::uint16_t client_port = 40000;
  std::uint16_t server_port = 25;
  std::uint64_t time_ns = 0;
  std::uint16_t window = 64240;
  std::uint16_t ip_id = 7;
  std::uint8_t hops = 64;
  std::uint64_t network = 0;  // as parsed() sets it
  std::string bytes;          // see ip()

  std::string tcp() const {
    std::string out;
    put16(out, from_client ? client_port : server_port);
    put16(out, from_client ? server_port : client_port);
    put32(out, seq);
    put32(out, ack);
    out += static_cast<char>((5 + options.size() / 4) << 4);
    out += static_cast<char>(flags);
    put16(out, window);
    put32(out, 0);
    return out + options;
  }
  std::uint32_t size() const {
    return wire_size != 0 ? wire_size : static_cast<std::uint32_t>(payload.size());
  }
  // An IPv4 packet. `ip_length`: the length in its header; -1: the real one.
  std::string ip(int ip_length = -1, unsigned fragment = 0x4000) const {
    const std::string segment = tcp();
    std::string out("\x45\0", 2);
    put16(out, ip_length >= 0 ? static_cast<unsigned>(ip_length)
                              : static_cast<unsigned>(20 + segment.size() + size()));
    put16(out, ip_id);
    put16(out, fragment);
    out += static_cast<char>(hops);
    out += '\x06';
    put16(out, 0);
    put32(out, from_client ? 0xc0000201 : 0xc6336401);
    put32(out, from_client ? 0xc6336401 : 0xc0000201);
    return out + segment + payload;
  }
  // The packet as the reader would give it. It points into this object, which must not be moved.
  recorded::TcpPacket parsed() {
    bytes = ip();
    recorded::TcpPacket packet;
    recorded::Dissector dissector;
    constexpr std::uint32_t kRaw = 101;  // LINKTYPE_RAW
    dissector.packet({.link_type = kRaw,
                      .time_ns = time_ns,
                      .wire_size = bytes.size() - payload.size() + size(),
                      .bytes = {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}},
                     packet);
    packet.network = network;
    return packet;
  }
};

inline std::string mss_option(std::uint16_t mss) {
  std::string out("\x02\x04", 2);
  put16(out, mss);
  return out;
}

// Both ends of a session. Sequence numbers and acknowledgements are those of a session without
// loss.
class Conversation {
 public:
  explicit Conversation(std::uint32_t client_isn = 1000, std::uint32_t server_isn = 5000)
      : client_seq_(client_isn), server_seq_(server_isn) {}

  std::vector<Packet> packets;
  std::uint16_t client_port = 40000;
  std::uint16_t server_port = 25;

  void open(std::uint16_t client_mss = 1460, std::uint16_t server_mss = 1460) {
    add(true, "", 0x02, mss_option(client_mss));
    add(false, "", 0x12, mss_option(server_mss));
    add(true, "", 0x10);
  }
  Packet& client(std::string_view text, std::uint8_t flags = 0x18) {
    return add(true, text, flags);
  }
  Packet& server(std::string_view text, std::uint8_t flags = 0x18) {
    return add(false, text, flags);
  }
  // Plays the session up to the 354.
  void greet() {
    server("220 mx.example.org\r\n");
    client("EHLO client.example.net\r\n");
    server("250-mx.example.org\r\n250 SIZE\r\n");
    next_message();
  }
  void next_message() {
    client("MAIL FROM:<a@example.net>\r\n");
    server("250 ok\r\n");
    client("RCPT TO:<b@example.org>\r\n");
    server("250 ok\r\n");
    client("DATA\r\n");
    server("354 go\r\n");
  }
  // Sends the message in segments of `size` bytes.
  void send(std::string_view text, std::size_t size) {
    for (; text.size() > size; text.remove_prefix(size)) client(text.substr(0, size), 0x10);
    client(text);
  }
  void close() {
    server("250 queued\r\n");
    client("QUIT\r\n");
    server("221 bye\r\n");
    add(true, "", 0x11);
    add(false, "", 0x11);
  }

 private:
  Packet& add(bool from_client, std::string_view text, std::uint8_t flags,
              std::string options = {}) {
    std::uint32_t& seq = from_client ? client_seq_ : server_seq_;
    const std::uint32_t other = from_client ? server_seq_ : client_seq_;
    packets.push_back({.from_client = from_client,
                       .seq = seq,
                       .ack = (flags & 0x10) != 0 ? other : 0,
                       .flags = flags,
                       .options = std::move(options),
                       .payload = std::string(text),
                       .client_port = client_port,
                       .server_port = server_port,
                       .time_ns = time_ns_ += 1'000'000,
                       .ip_id = ++ip_ids_[from_client ? 0 : 1]});
    seq += static_cast<std::uint32_t>(text.size()) + ((flags & 0x03) != 0 ? 1 : 0);
    return packets.back();
  }

  std::uint32_t client_seq_;
  std::uint32_t server_seq_;
  std::uint64_t time_ns_ = 1'000'000'000;
  std::uint16_t ip_ids_[2] = {100, 9000};
};

// A pcap file, written little-endian.
class PcapFile {
 public:
  explicit PcapFile(std::uint32_t link_type, std::uint32_t magic = 0xa1b2c3d4) {
    little(magic);
    little(4U << 16 | 2U);
    little(0);
    little(0);
    little(262144);
    little(link_type);
  }
  // Adds the first bytes of a frame that had `wire` bytes (0: all of it).
  void frame(std::string_view bytes, std::size_t wire = 0) {
    little(static_cast<std::uint32_t>(++time_));
    little(0);
    little(static_cast<std::uint32_t>(bytes.size()));
    little(static_cast<std::uint32_t>(wire == 0 ? bytes.size() : wire));
    bytes_ += bytes;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void little(std::uint32_t value) {
    for (int i = 0; i < 4; ++i) bytes_ += static_cast<char>(value >> (8 * i));
  }
  std::string bytes_;
  std::uint32_t time_ = 1'700'000'000;
};

// A pcapng file, of either byte order.
class PcapNgFile {
 public:
  explicit PcapNgFile(bool big_endian = false) : big_(big_endian) { section(big_endian); }

  void section(bool big_endian) {
    big_ = big_endian;
    block(0x0a0d0d0a, number(0x1a2b3c4d, 4) + number(1, 2) + number(0, 2) + std::string(8, '\xff'));
  }
  // `options`: as option() makes them.
  void interface(std::uint32_t link_type, std::uint32_t snap_length = 0,
                 const std::string& options = {}) {
    block(1, number(link_type, 2) + number(0, 2) + number(snap_length, 4) + options);
  }
  std::string option(std::uint16_t code, const std::string& value) const {
    return number(code, 2) + number(value.size(), 2) + value +
           std::string((4 - value.size() % 4) % 4, '\0');
  }
  void packet(std::uint32_t interface, std::uint64_t time, std::string_view bytes,
              std::size_t wire = 0) {
    block(6, number(interface, 4) + stamp(time) + sizes(bytes, wire) + padded(bytes));
  }
  void old_packet(std::uint16_t interface, std::uint64_t time, std::string_view bytes) {
    block(2, number(interface, 2) + number(0, 2) + stamp(time) + sizes(bytes, 0) + padded(bytes));
  }
  void simple_packet(std::string_view bytes, std::size_t wire = 0) {
    block(3, number(wire == 0 ? bytes.size() : wire, 4) + padded(bytes));
  }
  void block(std::uint32_t type, const std::string& body) {
    const std::string length = number(body.size() + 12, 4);
    bytes_ += number(type, 4) + length + body + length;
  }
  // A number in the section's byte order.
  std::string number(std::uint64_t value, int size) const {
    std::string out;
    for (int i = 0; i < size; ++i) {
      out += static_cast<char>(value >> (8 * (big_ ? size - 1 - i : i)));
    }
    return out;
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string stamp(std::uint64_t time) const {
    return number(time >> 32, 4) + number(time & 0xffffffff, 4);
  }
  std::string sizes(std::string_view bytes, std::size_t wire) const {
    return number(bytes.size(), 4) + number(wire == 0 ? bytes.size() : wire, 4);
  }
  static std::string padded(std::string_view bytes) {
    return std::string(bytes) + std::string((4 - bytes.size() % 4) % 4, '\0');
  }

  bool big_;
  std::string bytes_;
};

// Reads `bytes` like a file, at most `at_once` bytes at a time.
inline recorded::ReadBytes read_from(std::string bytes, std::size_t at_once = 1 << 20) {
  return [bytes = std::move(bytes), at = std::size_t{0}, at_once](std::span<char> out) mutable {
    const std::size_t some = std::min({out.size(), at_once, bytes.size() - at});
    bytes.copy(out.data(), some, at);
    at += some;
    return some;
  };
}

inline std::string ethernet(std::string_view ip, std::string_view types = {"\x08\x00", 2}) {
  return std::string(12, '\x02').append(types).append(ip);
}

}  // namespace support
