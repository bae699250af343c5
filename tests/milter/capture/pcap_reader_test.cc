#include "milter/capture/pcap_reader.h"

#include <pcap/pcap.h>
#include <catch2/catch.hpp>

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/capture_builder.h"

namespace {

using namespace capture;
using namespace support;
using namespace std::string_view_literals;

struct Read {
  std::vector<std::string> payloads;
  std::vector<std::uint32_t> sizes;
  PcapReader::Counts counts;
  PcapReader::Got end = PcapReader::Got::Packet;
  std::string error;
};

Read read(std::string bytes) {
  Read out;
  PcapReader reader(fmemopen(bytes.data(), bytes.size(), "r"));
  TcpPacket packet;
  while ((out.end = reader.next(packet)) == PcapReader::Got::Packet) {
    out.payloads.emplace_back(packet.payload.data(), packet.payload.size());
    out.sizes.push_back(packet.size);
  }
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

}  // namespace

TEST_CASE("every link type leads to the same TCP packet") {
  const Packet packet = hello();
  const std::string ip = packet.ip();
  const std::string segment = packet.tcp() + packet.payload;
  struct Row {
    const char* what;
    std::uint32_t link_type;
    std::string frame;
  };
  const Row rows[] = {
      {"Ethernet", 1, ethernet(ip)},
      {"802.1Q", 1, ethernet(ip, "\x81\x00\x00\x05\x08\x00"sv)},
      {"QinQ", 1, ethernet(ip, "\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"sv)},
      {"MPLS, two labels", 1, ethernet(ip, "\x88\x47\x00\x01\x00\x40\x00\x02\x01\x40"sv)},
      {"PPPoE", 1, ethernet(ip, "\x88\x64\x11\x00\x00\x01\x00\x40\x00\x21"sv)},
      {"LLC and SNAP", 1, ethernet(ip, "\x00\x40\xaa\xaa\x03\x00\x00\x00\x08\x00"sv)},
      {"Ethernet with padding", 1, ethernet(ip) + std::string(9, '\0')},
      {"Linux cooked", 113, std::string(14, '\0') + "\x08" + '\0' + ip},
      {"Linux cooked, tagged", 113,
       std::string(14, '\0') + std::string("\x81\0\0\5\x08\0", 6) + ip},
      {"Linux cooked v2", 276, std::string("\x08\0", 2) + std::string(18, '\0') + ip},
      {"raw", 101, ip},
      {"raw IPv4", 228, ip},
      {"BSD loopback", 0, std::string("\x02\0\0\0", 4) + ip},
      {"OpenBSD loopback", 108, std::string("\0\0\0\x02", 4) + ip},
      {"PPP", 9, std::string("\xff\x03\0\x21", 4) + ip},
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
    REQUIRE(got.payloads == std::vector<std::string>{"EHLO x\r\n"});
    CHECK(got.sizes == std::vector<std::uint32_t>{8});
    CHECK(got.end == PcapReader::Got::End);
  }
}

TEST_CASE("what is no whole TCP packet is left out") {
  const Packet packet = hello();
  const std::string ip = packet.ip();
  struct Row {
    const char* what;
    std::string frame;
    std::uint64_t fragments;
  };
  std::string udp = ip;
  udp[9] = 17;
  std::string short_header = ip;
  short_header[32] = 0x40;
  std::string long_header = ip;
  long_header[32] = '\xf0';
  const std::string segment = packet.tcp() + packet.payload;
  const Row rows[] = {
      {"a first fragment", ethernet(packet.ip(-1, 0x2000)), 1},
      {"a later fragment", ethernet(packet.ip(-1, 0x0001)), 1},
      {"an IPv6 fragment", ethernet(ipv6("\x06\0\0\1\0\0\0\7"sv, 44, segment), "\x86\xdd"sv), 1},
      {"UDP", ethernet(udp), 0},
      {"ARP", ethernet(std::string(28, '\0'), "\x08\x06"sv), 0},
      {"a header cut by the snaplen", ethernet(ip.substr(0, 30)), 0},
      {"a TCP header of 16 bytes", ethernet(short_header), 0},
      {"a TCP header beyond the packet", ethernet(long_header), 0},
      {"nothing", "", 0},
      {"tags without an end", std::string(12, '\0') + std::string(200, '\x81'), 0},
      {"MPLS without an end", ethernet(std::string(300, '\0'), "\x88\x47"sv), 0},
      {"extension headers without an end",
       ethernet(ipv6(std::string(400, '\0'), 0, ""), "\x86\xdd"sv), 0},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    PcapFile file(1);
    file.frame(row.frame);
    const Read got = read(file.bytes());
    CHECK(got.payloads.empty());
    CHECK(got.counts.packets == 1);
    CHECK(got.counts.fragments == row.fragments);
  }
}

TEST_CASE("of a payload that was cut the size on the wire is known") {
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

TEST_CASE("a file that is no capture, or of an unknown link type, is refused with a reason") {
  CHECK_THROWS_AS(read("hello, this is not a capture"), std::runtime_error);
  CHECK_THROWS_AS(read("\xd4"), std::runtime_error);
  CHECK_THROWS_WITH(read(PcapFile(105).bytes()), Catch::Contains("link type 105"));
}
