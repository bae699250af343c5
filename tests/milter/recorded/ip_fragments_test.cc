#include "milter/recorded/ip_fragments.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <string>
#include <vector>

#include "milter/recorded/dissector.h"
#include "tests/support/capture_builder.h"

namespace {

using namespace recorded;
using namespace support;

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

Packet long_packet() {
  Packet packet{.seq = 1, .ack = 2, .flags = 0x18, .payload = ""};
  for (int i = 0; i < 300; ++i) packet.payload += std::to_string(1000 + i);
  return packet;
}

// An IPv4 packet cut into fragments with `size` bytes of data each.
std::vector<std::string> cut_v4(const std::string& ip, std::size_t size) {
  std::vector<std::string> out;
  const std::string data = ip.substr(20);
  for (std::size_t at = 0; at < data.size(); at += size) {
    const std::string piece = data.substr(at, size);
    std::string header = ip.substr(0, 2);
    put16(header, static_cast<unsigned>(20 + piece.size()));
    header += ip.substr(4, 2);
    put16(header, static_cast<unsigned>(at / 8) | (at + size < data.size() ? 0x2000U : 0U));
    out.push_back(header + ip.substr(8, 12) + piece);
  }
  return out;
}

// The same for IPv6, with hop-by-hop options before the fragment header.
std::vector<std::string> cut_v6(const std::string& data, std::size_t size) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < data.size(); at += size) {
    const std::string piece = data.substr(at, size);
    std::string packet("\x60\0\0\0", 4);
    put16(packet, static_cast<unsigned>(16 + piece.size()));
    packet += std::string("\0\x40", 2) + std::string(31, '\x20') + '\x01';
    packet += std::string("\x2c\0\1\4\0\0\0\0", 8);
    packet += std::string("\x06\0", 2);
    put16(packet, static_cast<unsigned>(at) | (at + size < data.size() ? 1U : 0U));
    put32(packet, 77);
    out.push_back(packet + piece);
  }
  return out;
}

struct Read {
  std::vector<std::string> payloads;
  std::vector<std::uint32_t> sizes;
  IpFragments::Counts counts;
};

Read dissect(const std::vector<std::string>& packets, std::uint64_t apart_ns = 1000) {
  Read out;
  Dissector dissector;
  TcpPacket packet;
  std::uint64_t time = 1'000'000'000;
  for (const std::string& bytes : packets) {
    time += apart_ns;
    if (!dissector.packet({.link_type = 101,
                           .time_ns = time,
                           .wire_size = bytes.size(),
                           .bytes = bytes_of(bytes)},
                          packet)) {
      continue;
    }
    out.payloads.emplace_back(packet.payload.data(), packet.payload.size());
    out.sizes.push_back(packet.size);
    CHECK(packet.headers.size() >= 40);
  }
  out.counts = dissector.fragments();
  return out;
}

}  // namespace

TEST_CASE("fragments in any order become the original packet") {
  const Packet packet = long_packet();
  auto pieces = GENERATE_COPY(cut_v4(packet.ip(), 400), cut_v6(packet.tcp() + packet.payload, 400));
  REQUIRE(pieces.size() == 4);
  std::sort(pieces.begin(), pieces.end());
  do {
    const Read got = dissect(pieces);
    REQUIRE(got.payloads == std::vector<std::string>{packet.payload});
    CHECK(got.sizes == std::vector<std::uint32_t>{1200});
    CHECK(got.counts.left_out == 0);
  } while (std::next_permutation(pieces.begin(), pieces.end()));
}

TEST_CASE("fragments that were each captured twice give their packet once, or an exact copy") {
  const Packet packet = long_packet();
  std::vector<std::string> doubled;
  for (const std::string& piece : cut_v4(packet.ip(), 400)) {
    doubled.push_back(piece);
    doubled.push_back(piece);
  }
  const Read got = dissect(doubled);
  CHECK(got.payloads == std::vector<std::string>{packet.payload});
  CHECK(got.counts.overlapping == 0);
  // The copy of the last one begins a packet that is never completed.
  CHECK(got.counts.left_out <= 1);
}

TEST_CASE("if a fragment is missing, the others are left out and counted") {
  const Packet packet = long_packet();
  auto pieces = cut_v4(packet.ip(), 400);
  pieces.erase(pieces.begin() + 1);
  const Read got = dissect(pieces);
  CHECK(got.payloads.empty());
  CHECK(got.counts.left_out == 3);
}

TEST_CASE("if fragments overlap, their whole packet is dropped") {
  const Packet packet = long_packet();
  auto pieces = cut_v4(packet.ip(), 400);
  SECTION("different bytes in the same place") {
    std::string other = pieces[1];
    other[30] = 'Z';
    pieces.insert(pieces.begin() + 2, other);
  }
  SECTION("a shorter one in the same place") {
    std::string other = pieces[1].substr(0, 220);
    other[2] = 0;
    other[3] = static_cast<char>(220);
    pieces.insert(pieces.begin() + 2, other);
  }
  SECTION("one that begins within another") {
    std::string other = pieces[1];
    other[7] = static_cast<char>(other[7] - 1);
    pieces.insert(pieces.begin(), other);
  }
  SECTION("one beyond the end") {
    std::string other = pieces[1];
    other[6] = '\x21';
    pieces.insert(pieces.begin(), pieces.back());
    pieces.insert(pieces.begin() + 1, other);
  }
  SECTION("a second end") {
    std::string other = pieces.back();
    other[6] = '\x01';
    pieces.insert(pieces.begin(), other);
  }
  const Read got = dissect(pieces);
  CHECK(got.payloads.empty());
  CHECK(got.counts.left_out == pieces.size());
  CHECK(got.counts.overlapping >= 2);
}

TEST_CASE("an identification that is used again later belongs to another packet") {
  const Packet packet = long_packet();
  const auto pieces = cut_v4(packet.ip(), 400);
  CHECK(dissect(pieces, 5'000'000'000).payloads.size() == 1);
  CHECK(dissect(pieces, 31'000'000'000).payloads.empty());
}

TEST_CASE("a fragment whose end was not captured shortens the packet's bytes, not its size") {
  const Packet packet = long_packet();
  const auto pieces = cut_v4(packet.ip(), 400);
  Dissector dissector;
  TcpPacket got;
  bool whole = false;
  for (const std::string& piece : pieces) {
    const std::string captured = piece.substr(0, 100);
    whole = dissector.packet(
        {.link_type = 101, .time_ns = 1, .wire_size = piece.size(), .bytes = bytes_of(captured)},
        got);
    if (!whole) continue;
    CHECK(got.size == 1200);
    CHECK(std::string(got.payload.data(), got.payload.size()) == packet.payload.substr(0, 60));
  }
  CHECK(whole);
}

TEST_CASE("fragments of a tunnel's packet, and fragments inside a tunnel, are put together") {
  const Packet packet = long_packet();
  const auto wrap = [](const std::string& inner) {
    std::string out("\x45\0", 2);
    put16(out, static_cast<unsigned>(20 + inner.size()));
    out += std::string("\x12\x34\0\0\x40\x04\0\0", 8) + std::string("\x0a\0\0\1\x0a\0\0\2", 8);
    return out + inner;
  };
  SECTION("outside") {
    CHECK(dissect(cut_v4(wrap(packet.ip()), 400)).payloads ==
          std::vector<std::string>{packet.payload});
  }
  SECTION("inside") {
    std::vector<std::string> wrapped;
    for (const std::string& piece : cut_v4(packet.ip(), 400)) wrapped.push_back(wrap(piece));
    CHECK(dissect(wrapped).payloads == std::vector<std::string>{packet.payload});
  }
  SECTION("both") {
    std::vector<std::string> wrapped;
    std::uint8_t id = 0;
    for (const std::string& piece : cut_v4(packet.ip(), 400)) {
      std::string outer = wrap(piece);
      outer[5] = static_cast<char>(++id);
      for (const std::string& part : cut_v4(outer, 160)) wrapped.push_back(part);
    }
    CHECK(dissect(wrapped).payloads == std::vector<std::string>{packet.payload});
  }
}

TEST_CASE(
    "waiting fragments are bounded in packets, bytes and pieces, and the oldest are dropped") {
  IpFragments fragments({.packets = 4, .bytes = 4000, .pieces = 8});
  const std::string header(20, 'h');
  const std::string data(800, 'd');
  for (std::uint32_t id = 0; id < 100; ++id) {
    fragments.add({.id = id,
                   .protocol = 6,
                   .more = true,
                   .header = bytes_of(header),
                   .data = bytes_of(data),
                   .size = data.size()},
                  id);
    CHECK(fragments.packets() <= 4);
    CHECK(fragments.bytes() <= 4000);
  }
  CHECK(fragments.counts().left_out == 100);
  for (std::size_t at = 0; at < 100; ++at) {
    fragments.add({.id = 1000,
                   .protocol = 6,
                   .offset = at * 8,
                   .more = true,
                   .header = bytes_of(header),
                   .data = bytes_of(data).first(8),
                   .size = 8},
                  100);
    CHECK(fragments.bytes() <= 4000);
  }
}
