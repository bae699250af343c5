#include "milter/recorded/segment_size.h"

#include <catch2/catch.hpp>

using recorded::SegmentSize;
using recorded::TcpPacket;

namespace {

std::uint32_t size_of(SegmentSize& sizes, std::uint32_t payload, std::uint32_t client = 1460,
                      std::uint32_t server = 1460) {
  TcpPacket packet;
  packet.size = payload;
  packet.option_bytes = 12;
  return sizes.of(packet, client, server);
}

}  // namespace

TEST_CASE("a packet that fits the path is one segment") {
  SegmentSize sizes;
  CHECK(size_of(sizes, 700) == 700);
  CHECK(size_of(sizes, 1448) == 1448);
}

TEST_CASE("a joined packet consists of full segments: the MSS of both ends less the options") {
  SegmentSize sizes;
  CHECK(size_of(sizes, 2896) == 1448);
  CHECK(size_of(sizes, 2896, 1400) == 1388);
  CHECK(size_of(sizes, 2896, 0, 1200) == 1188);
  CHECK(size_of(sizes, 2896, 0, 0) == 1448);
}

TEST_CASE("segments that came alone are better evidence than the client's SYN") {
  SegmentSize sizes;
  CHECK(size_of(sizes, 1448, 1000) == 1448);  // more than its SYN announced
  CHECK(size_of(sizes, 2896, 1000) == 1448);
}

TEST_CASE("a smaller size that was seen often is the path's size") {
  SegmentSize sizes;
  for (int i = 0; i < 3; ++i) CHECK(size_of(sizes, 948) == 948);
  CHECK(size_of(sizes, 948 * 3) == 948);
  CHECK(size_of(sizes, 1448 * 2) == 1448);  // a whole number of full segments, and not of 948 bytes
}

TEST_CASE("pieces are never smaller than Linux sends, whatever a SYN claims") {
  SegmentSize sizes;
  CHECK(size_of(sizes, 500, 1, 1) == 48);
}
