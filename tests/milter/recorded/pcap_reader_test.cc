#include "milter/recorded/pcap_reader.h"

#include <catch2/catch.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/capture_builder.h"

namespace {

using namespace recorded;
using namespace support;
using namespace std::string_view_literals;

struct Read {
  std::vector<std::string> payloads;
  std::vector<std::uint32_t> sizes;
  std::vector<std::uint64_t> networks;
  PcapReader::Counts counts;
  IpFragments::Counts fragments;
  std::string not_read;
  PcapReader::Got end = PcapReader::Got::Packet;
  std::string error;
};

Read read(std::string bytes) {
  Read out;
  PcapReader reader(read_from(std::move(bytes)));
  TcpPacket packet;
  while ((out.end = reader.next(packet)) == PcapReader::Got::Packet) {
    out.payloads.emplace_back(packet.payload.data(), packet.payload.size());
    out.sizes.push_back(packet.size);
    out.networks.push_back(packet.network);
  }
  out.fragments = reader.fragments();
  out.not_read = reader.not_read().text();
  out.counts = reader.counts();
  out.error = reader.error();
  return out;
}

Packet hello() {
  return {.seq = 1, .ack = 2, .flags = 0x18, .payload = "EHLO x\r\n"};
}

std::string ipv6(std::string_view extensions, int next, std::string_view tcp_and_payload) {
  std::string out("\x60\0\0\0", 4);
  put16(out, static_cast<unsigned>(extensions.size() + tcp_and_payload.size()));
  out += static_cast<char>(next);
  out += '\x40';
  out += std::string(15, '\x20') + '\x01' + std::string(15, '\x20') + '\x02';
  return out.append(extensions).append(tcp_and_payload);
}

// An IPv4 packet of another protocol: its headers, then its content.
std::string carry(int protocol, std::string_view headers, std::string_view inner) {
  std::string out("\x45\0", 2);
  put16(out, static_cast<unsigned>(20 + headers.size() + inner.size()));
  out += std::string("\0\1\x40\0\x40", 5);
  out += static_cast<char>(protocol);
  put16(out, 0);
  put32(out, 0x0a000001);
  put32(out, 0x0a000002);
  return out.append(headers).append(inner);
}

std::string udp(unsigned port, std::string_view headers, std::string_view inner) {
  std::string header;
  put16(header, 50000);
  put16(header, port);
  put16(header, static_cast<unsigned>(8 + headers.size() + inner.size()));
  put16(header, 0);
  return carry(17, header.append(headers), inner);
}

std::string repeat(std::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

}  // namespace

TEST_CASE("every link type leads to the same TCP packet") {
  const Packet packet = hello();
  const std::string ip = packet.ip();
  const std::string segment = packet.tcp() + packet.payload;
  const std::string snap("\xaa\xaa\x03\x00\x00\x00\x08\x00", 8);
  const std::string llc = snap + ip;
  struct Row {
    const char* what;
    std::uint32_t link_type;
    std::string frame;
  };
  const Row rows[] = {
      {"Ethernet", 1, ethernet(ip)},
      {"802.1Q", 1, ethernet(ip, "\x81\x00\x00\x05\x08\x00"sv)},
      {"QinQ", 1, ethernet(ip, "\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"sv)},
      {"802.1ah", 1, ethernet(ethernet(ip), "\x88\xe7\x00\x00\x00\x07"sv)},
      {"MPLS, two labels", 1, ethernet(ip, "\x88\x47\x00\x01\x00\x40\x00\x02\x01\x40"sv)},
      {"MPLS, Ethernet", 1, ethernet(ethernet(ip), "\x88\x47\x00\x01\x01\x40"sv)},
      {"MPLS, Ethernet, control word", 1,
       ethernet(ethernet(ip), "\x88\x47\x00\x01\x01\x40\x00\x00\x00\x00"sv)},
      {"PPPoE", 1, ethernet(ip, "\x88\x64\x11\x00\x00\x01\x00\x40\x00\x21"sv)},
      {"PPPoE in a VLAN", 1,
       ethernet(ip, "\x81\x00\x00\x07\x88\x64\x11\x00\x00\x01\x00\x40\x00\x21"sv)},
      {"LLC and SNAP", 1, ethernet(ip, "\x00\x40\xaa\xaa\x03\x00\x00\x00\x08\x00"sv)},
      {"Ethernet with padding", 1, ethernet(ip) + std::string(9, '\0')},
      {"Ethernet with a check sequence, as the file says", 0x24000001, ethernet(ip) + "abcd"},
      {"Linux cooked", 113, std::string(14, '\0') + "\x08" + '\0' + ip},
      {"Linux cooked, tagged", 113,
       std::string(14, '\0') + std::string("\x81\0\0\5\x08\0", 6) + ip},
      {"Linux cooked v2", 276, std::string("\x08\0", 2) + std::string(18, '\0') + ip},
      {"Linux cooked v2, tagged", 276,
       std::string("\x81\0", 2) + std::string(18, '\0') + std::string("\0\5\x08\0", 4) + ip},
      {"Linux cooked v2, PPPoE", 276,
       std::string("\x88\x64", 2) + std::string(18, '\0') +
           std::string("\x11\x00\x00\x01\x00\x40\x00\x21", 8) + ip},
      {"Linux cooked v2, MPLS", 276,
       std::string("\x88\x47", 2) + std::string(18, '\0') + std::string("\x00\x01\x01\x40", 4) +
           ip},
      {"raw", 101, ip},
      {"raw, as BSD says", 12, ip},
      {"raw IPv4", 228, ip},
      {"BSD loopback", 0, std::string("\x02\0\0\0", 4) + ip},
      {"OpenBSD loopback", 108, std::string("\0\0\0\x02", 4) + ip},
      {"PPP", 9, std::string("\xff\x03\0\x21", 4) + ip},
      {"PPP, protocol alone", 9, std::string("\0\x21", 2) + ip},
      {"PPP, compressed protocol", 9, "\xff\x03\x21" + ip},
      {"PPP, compressed protocol alone", 50, "\x21" + ip},
      {"PPP with a direction", 204, std::string("\x01\xff\x03\0\x21", 5) + ip},
      {"pppd", 166, std::string("\x01\x03\0\x21", 4) + ip},
      {"Cisco HDLC", 104, std::string("\x0f\0\x08\0", 4) + ip},
      {"ENC", 109, std::string(12, '\0') + ip},
      {"PFLOG", 117, std::string("\x3d\x02\0\0", 4) + std::string(60, '\0') + ip},
      {"NFLOG, little-endian", 239,
       std::string("\x02\0\0\0\x08\0\x01\0\x08\0\0\0", 12) + static_cast<char>(ip.size() + 4) +
           std::string("\0\x09\0", 3) + ip},
      {"NFLOG, big-endian", 239,
       std::string("\x02\0\0\0\0\x08\0\x01\x08\0\0\0\0", 13) + static_cast<char>(ip.size() + 4) +
           std::string("\0\x09", 2) + ip},
      {"PKTAP", 258,
       std::string("\x6c\0\0\0\1\0\0\0\1\0\0\0", 12) + std::string(96, '\0') + ethernet(ip)},
      {"PPI", 192, std::string("\0\0\x08\0\1\0\0\0", 8) + ethernet(ip)},
      {"802.11 data", 105, std::string("\x08\x01", 2) + std::string(22, '\0') + llc},
      {"802.11 QoS data, four addresses", 105,
       std::string("\x88\x03", 2) + std::string(30, '\0') + llc},
      {"radiotap", 127,
       std::string("\0\0\x0a\0\0\0\0\0\0\0", 10) + std::string("\x88\x01", 2) +
           std::string(24, '\0') + llc},
      {"radiotap, padded header", 127,
       std::string("\0\0\x08\0\0\0\0\0", 8) + std::string("\x88\x01", 2) + std::string(24, '\0') +
           std::string(2, '\0') + llc},
      {"IPv6", 1, ethernet(ipv6("", 6, segment), "\x86\xdd"sv)},
      {"IPv6, hop-by-hop and destination options", 1,
       ethernet(ipv6("\x3c\0\1\4\0\0\0\0\x06\0\1\4\0\0\0\0"sv, 0, segment), "\x86\xdd"sv)},
      {"IPv6, atomic fragment", 1,
       ethernet(ipv6("\x06\0\0\0\0\0\0\7"sv, 44, segment), "\x86\xdd"sv)},
      {"TSO: IP length 0", 1, ethernet(packet.ip(0))},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    PcapFile file(row.link_type);
    file.frame(row.frame);
    const Read got = read(file.bytes());
    CHECK(got.not_read.empty());
    REQUIRE(got.payloads == std::vector<std::string>{"EHLO x\r\n"});
    CHECK(got.sizes == std::vector<std::uint32_t>{8});
    CHECK(got.end == PcapReader::Got::End);
  }
}

TEST_CASE("a packet is read out of each tunnel, and the tunnel's number is kept") {
  const std::string ip = hello().ip();
  const std::string segment = hello().tcp() + hello().payload;
  const std::string frame = ethernet(ip);
  const std::string inner6 = ipv6("", 6, segment);
  struct Row {
    const char* what;
    std::string packet;  // IPv4
    bool numbered;
  };
  const Row rows[] = {
      {"VXLAN", udp(4789, "\x08\0\0\0\0\0\x2a\0"sv, frame), true},
      {"VXLAN, Linux's port", udp(8472, "\x08\0\0\0\0\0\x2a\0"sv, frame), true},
      {"GENEVE with an option", udp(6081, "\x02\0\x65\x58\0\0\x2a\0\1\2\3\1\0\0\0\0"sv, frame),
       true},
      {"GENEVE, IP", udp(6081, "\0\0\x08\0\0\0\x2a\0"sv, ip), true},
      {"GTP-U", udp(2152, "\x30\xff\0\x30\0\0\0\x07"sv, ip), true},
      {"GTP-U, sequence and extension",
       udp(2152, "\x36\xff\0\x38\0\0\0\x07\0\1\0\x85\1\0\0\0"sv, ip), true},
      {"L2TP", udp(1701, "\x00\x02\0\1\0\2\xff\x03\0\x21"sv, ip), true},
      {"L2TP, all fields", udp(1701, "\x4a\x02\0\x50\0\1\0\2\0\3\0\4\0\2zz\0\x21"sv, ip), true},
      {"TZSP with tags", udp(37008, "\x01\0\0\1\x0a\1\x20\0\1"sv, frame), false},
      {"GRE in UDP", udp(4754, "\0\0\x08\0"sv, ip), false},
      {"GRE", carry(47, "\0\0\x08\0"sv, ip), false},
      {"GRE, checksum, key and number", carry(47, "\xb0\0\x08\0\1\2\0\0\0\0\0\x09\0\0\0\1"sv, ip),
       true},
      {"GRE, IPv6", carry(47, "\0\0\x86\xdd"sv, inner6), false},
      {"TEB", carry(47, "\0\0\x65\x58"sv, frame), false},
      {"PPTP", carry(47, "\x30\x81\x88\x0b\0\x40\0\x05\0\0\0\1\0\0\0\1\xff\x03\0\x21"sv, ip), true},
      {"ERSPAN I", carry(47, "\0\0\x88\xbe"sv, frame), false},
      {"ERSPAN II", carry(47, "\x10\0\x88\xbe\0\0\0\1\x10\1\0\1\0\0\0\0"sv, frame), false},
      {"ERSPAN III", carry(47, "\x10\0\x22\xeb\0\0\0\1\x20\1\0\1\0\0\0\0\0\0\0\0"sv, frame), false},
      {"ERSPAN III, platform",
       carry(47, "\x10\0\x22\xeb\0\0\0\1\x20\1\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0"sv, frame),
       false},
      {"IP in IP", carry(4, "", ip), false},
      {"6in4", carry(41, "", inner6), false},
      {"EtherIP", carry(97, "\x30\0"sv, frame), false},
      {"MPLS in IP", carry(137, "\0\1\1\x40"sv, ip), false},
      {"AH", carry(51, "\x06\x04\0\0\0\0\0\1\0\0\0\1abcdefghijkl"sv, segment), false},
      {"IP in IP in GRE in VXLAN",
       udp(4789, "\x08\0\0\0\0\0\x2a\0"sv, ethernet(carry(47, "\0\0\x08\0"sv, carry(4, "", ip)))),
       true},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    PcapFile file(101);
    file.frame(row.packet);
    const Read got = read(file.bytes());
    CHECK(got.not_read.empty());
    REQUIRE(got.payloads == std::vector<std::string>{"EHLO x\r\n"});
    CHECK(got.sizes == std::vector<std::uint32_t>{8});
    CHECK((got.networks[0] != 0) == row.numbered);
  }
  SECTION("4in6") {
    PcapFile file(101);
    file.frame(ipv6("", 4, ip));
    CHECK(read(file.bytes()).payloads.size() == 1);
  }
}

TEST_CASE("a packet that is not a whole TCP packet is left out") {
  const Packet packet = hello();
  const std::string ip = packet.ip();
  struct Row {
    const char* what;
    std::string frame;
    std::string not_read;  // begins with this text; "": understood, and not TCP
  };
  std::string short_header = ip;
  short_header[32] = 0x40;
  std::string long_header = ip;
  long_header[32] = '\xf0';
  const std::string cut = "1 with headers that are cut";
  std::string nested = ip;
  for (int i = 0; i < 40; ++i) nested = carry(4, "", nested);
  const Row rows[] = {
      {"UDP", ethernet(carry(17, "\0\1\0\1\0\x10\0\0"sv, "abcdefgh")), ""},
      {"ARP", ethernet(std::string(28, '\0'), "\x08\x06"sv), ""},
      {"spanning tree", ethernet(std::string(40, '\0'), "\x00\x26\x42\x42\x03"sv), ""},
      {"a header cut by the snaplen", ethernet(ip.substr(0, 30)), cut},
      {"a TCP header of 16 bytes", ethernet(short_header), cut},
      {"a TCP header beyond the packet", ethernet(long_header), cut},
      {"nothing", "", cut},
      {"an unknown ethertype", ethernet(ip, "\x12\x34"sv), "1 of ethertype 0x1234"},
      {"an unknown protocol", ethernet(carry(253, "", ip)), "1 of IP protocol 253"},
      {"ESP", ethernet(carry(50, "", ip)), "1 encrypted (IP protocol 50)"},
      {"VXLAN without a number", ethernet(udp(4789, std::string(8, '\0'), ethernet(ip))),
       "1 of a tunnel (4789)"},
      {"GTP, an echo", ethernet(udp(2152, "\x32\x01\0\4\0\0\0\0\0\1\0\0"sv, "")), ""},
      {"GTP, an extension of no length",
       ethernet(udp(2152, "\x34\xff\0\4\0\0\0\0\0\0\0\x85\0\0\0\0"sv, ip)), "1 of a tunnel (2152)"},
      {"GRE with a route", ethernet(carry(47, "\x40\0\x08\0"sv, ip)), "1 of a tunnel (2048)"},
      {"PPP, compressed TCP", ethernet(ip, "\x88\x64\x11\x00\x00\x01\x00\x40\x00\x2d"sv),
       "1 of PPP protocol 0x002d"},
      {"PPP, control", ethernet(ip, "\x88\x64\x11\x00\x00\x01\x00\x40\xc0\x21"sv), ""},
      {"tags without an end", std::string(12, '\0') + std::string(200, '\x81'),
       "1 of ethertype 0x8181"},
      {"VLANs without an end", std::string(12, '\0') + repeat("\x81\0\0\1"sv, 100),
       "1 of more than 32 layers"},
      {"MPLS without an end", ethernet(std::string(300, '\0'), "\x88\x47"sv),
       "1 of more than 32 layers"},
      {"tunnels without an end", ethernet(nested), "1 of more than 32 layers"},
      {"extension headers without an end",
       ethernet(ipv6(std::string(400, '\0'), 0, ""), "\x86\xdd"sv), "1 of more than 32 layers"},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    PcapFile file(1);
    file.frame(row.frame);
    const Read got = read(file.bytes());
    CHECK(got.payloads.empty());
    CHECK(got.counts.packets == 1);
    CHECK(got.not_read.substr(0, row.not_read.size()) == row.not_read);
    CHECK(got.not_read.empty() == row.not_read.empty());
  }
}

TEST_CASE("a tunnel cut at any byte is read or left out, and never read beyond its end") {
  const std::string frame = ethernet(hello().ip());
  const std::string whole[] = {
      udp(4789, "\x08\0\0\0\0\0\x2a\0"sv, frame),
      udp(2152, "\x36\xff\0\x38\0\0\0\x07\0\1\0\x85\1\0\0\0"sv, hello().ip()),
      udp(37008, "\x01\0\0\1\x0a\1\x20\0\1"sv, frame),
      carry(47, "\xb0\0\x65\x58\1\2\0\0\0\0\0\x09\0\0\0\1"sv, frame),
      carry(47, "\x10\0\x22\xeb\0\0\0\1\x20\1\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0"sv, frame)};
  for (const std::string& packet : whole) {
    for (std::size_t size = 0; size < packet.size(); ++size) {
      PcapFile file(101);
      file.frame(std::string_view(packet).substr(0, size), packet.size());
      const Read got = read(file.bytes());
      // A payload of 8 bytes, and the part of the 20 header bytes that follows the flags.
      const bool enough = size + 8 + 6 >= packet.size();
      CHECK(got.payloads.size() == (enough ? 1 : 0));
      CHECK(got.not_read.empty() == enough);
      if (enough) CHECK(got.sizes == std::vector<std::uint32_t>{8});
    }
  }
}

TEST_CASE("the size on the wire is known for a payload that was cut") {
  const std::string frame = ethernet(hello().ip());
  PcapFile file(1);
  file.frame(std::string_view(frame).substr(0, frame.size() - 5), frame.size());
  const Read got = read(file.bytes());
  CHECK(got.payloads == std::vector<std::string>{"EHL"});
  CHECK(got.sizes == std::vector<std::uint32_t>{8});
  CHECK(got.counts.cut == 1);
}

TEST_CASE("a file that ends within a record gives the records before it") {
  PcapFile file(1);
  file.frame(ethernet(hello().ip()));
  file.frame(ethernet(hello().ip()));
  const Read got = read(file.bytes().substr(0, file.bytes().size() - 3));
  CHECK(got.payloads.size() == 1);
  CHECK(got.end == PcapReader::Got::Damaged);
  CHECK_FALSE(got.error.empty());
}

TEST_CASE("a file that is not a capture is refused with a reason") {
  CHECK_THROWS_AS(read("hello, this is not a capture"), std::runtime_error);
  CHECK_THROWS_AS(read("\xd4"), std::runtime_error);
}

TEST_CASE("packets of an unknown link type are counted, with its number") {
  PcapFile file(6);
  file.frame(hello().ip());
  file.frame(hello().ip());
  const Read got = read(file.bytes());
  CHECK(got.payloads.empty());
  CHECK_THAT(got.not_read, Catch::StartsWith("2 of link type 6"));
}
