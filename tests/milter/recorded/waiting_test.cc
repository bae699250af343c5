#include "milter/recorded/waiting.h"

#include <catch2/catch.hpp>
#include <string>

using classifier::Span;
using recorded::TcpPacket;
using recorded::Waiting;

namespace {

struct Bed {
  std::size_t all = 0;
  Waiting waiting{all};

  // `size`: size of the payload on the wire; 0: all of it was captured.
  void keep(std::uint64_t place, std::string_view bytes, std::uint64_t next = 0,
            std::uint32_t size = 0) {
    TcpPacket packet;
    packet.payload = {bytes.data(), bytes.size()};
    packet.size = size != 0 ? size : static_cast<std::uint32_t>(bytes.size());
    waiting.keep(packet, place, next, {.order = ++order});
  }
  // "10:abc 13:3?": place and bytes of each piece; "3?" means three bytes that were not captured.
  std::string take_all() {
    std::string out;
    while (!waiting.empty()) {
      if (!out.empty()) out += ' ';
      const std::uint64_t begin = waiting.begin();
      const Waiting::Piece piece = waiting.take_front();
      out += std::to_string(begin) + ':';
      out += piece.missing() ? std::to_string(piece.end - begin) + '?' : piece.bytes;
    }
    CHECK(all == 0);
    return out;
  }
  std::uint64_t order = 0;
};

}  // namespace

TEST_CASE("pieces are taken in order of their place, and the first copy of a byte is used") {
  Bed bed;
  bed.keep(20, "later");
  bed.keep(10, "first");
  bed.keep(12, "XXXXXXXXXXXXXXXX");
  CHECK(bed.take_all() == "10:first 15:XXXXX 20:later 25:XXX");
}

TEST_CASE("bytes that were given already are not kept") {
  Bed bed;
  bed.keep(10, "abcdef", 13);
  bed.keep(5, "abc", 13);
  CHECK(bed.take_all() == "13:def");
}

TEST_CASE("the rest of a cut packet is missing unless another packet has it") {
  Bed bed;
  bed.keep(10, "abc", 0, 10);
  CHECK(bed.take_all() == "10:abc 13:7?");
  bed.keep(16, "xyz");
  bed.keep(10, "abc", 0, 10);
  CHECK(bed.take_all() == "10:abc 13:3? 16:xyz");
}

TEST_CASE("the end of a run, and the first waiting part of a span, are found") {
  Bed bed;
  bed.keep(10, "abcde");
  bed.keep(15, "fgh");
  bed.keep(30, "xyz");
  CHECK(bed.waiting.end_of_run(10) == 18);
  CHECK(bed.waiting.end_of_run(9) == 9);
  CHECK(bed.waiting.first_in({0, 10}) == std::nullopt);
  CHECK(bed.waiting.first_in({0, 12}) == Span{10, 12});
  CHECK(bed.waiting.first_in({12, 40}) == Span{12, 15});
  CHECK(bed.waiting.first_in({18, 40}) == Span{30, 33});
  CHECK(bed.waiting.first_in({33, 40}) == std::nullopt);
  CHECK(bed.waiting.first_in({12, 12}) == std::nullopt);
}

TEST_CASE("the memory of all pieces is counted with their overhead") {
  Bed bed;
  bed.keep(10, "abcde");
  CHECK(bed.waiting.bytes() > 5);
  CHECK(bed.all == bed.waiting.bytes());
  bed.waiting.drop_before(14);
  CHECK_FALSE(bed.waiting.empty());
  bed.waiting.drop_before(15);
  CHECK(bed.waiting.empty());
  CHECK(bed.all == 0);
  bed.keep(10, "abcde");
  bed.waiting.clear();
  CHECK(bed.all == 0);
}
