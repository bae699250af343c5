#include "milter/recorded/capture_file.h"

#include <catch2/catch.hpp>

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/capture_builder.h"

namespace {

using namespace recorded;
using namespace support;

constexpr std::uint64_t kSecond = 1'000'000'000;

struct Read {
  std::vector<std::string> frames;
  std::vector<std::uint32_t> link_types;
  std::vector<std::uint64_t> times;
  std::vector<std::size_t> wire;
  CaptureFile::Got end = CaptureFile::Got::Frame;
  std::string error;
  std::uint64_t offset = 0;
};

Read read(const std::string& bytes, std::size_t at_once = 1 << 20) {
  Read out;
  CaptureFile file(read_from(bytes, at_once));
  Frame frame;
  while ((out.end = file.next(frame)) == CaptureFile::Got::Frame) {
    out.frames.emplace_back(frame.bytes.begin(), frame.bytes.end());
    out.link_types.push_back(frame.link_type);
    out.times.push_back(frame.time_ns);
    out.wire.push_back(frame.wire_size);
  }
  out.error = file.error();
  out.offset = file.offset();
  return out;
}

using Frames = std::vector<std::string>;

}  // namespace

TEST_CASE("interfaces of one file may differ in link type, snap length and clock") {
  const bool big_endian = GENERATE(false, true);
  PcapNgFile file(big_endian);
  file.interface(1, 65535);
  file.interface(101, 96, file.option(9, "\x09"));
  file.interface(113, 0, file.option(9, "\x8a") + file.option(14, file.number(100, 8)));
  file.interface(6);  // unused
  file.packet(1, 5 * kSecond + 7, "raw");
  file.packet(0, 5'000'001, "ethernet", 200);
  file.packet(2, (3 << 10) + 512, "cooked");
  file.old_packet(0, 6'000'000, "old");
  file.simple_packet("simple!");
  const Read got = read(file.bytes());
  CHECK(got.frames == Frames{"raw", "ethernet", "cooked", "old", "simple!"});
  CHECK(got.link_types == std::vector<std::uint32_t>{101, 1, 113, 1, 1});
  CHECK(got.times == std::vector<std::uint64_t>{5 * kSecond + 7, 5 * kSecond + 1000,
                                                103 * kSecond + kSecond / 2, 6 * kSecond, 0});
  CHECK(got.wire == std::vector<std::size_t>{3, 200, 6, 3, 7});
  CHECK(got.end == CaptureFile::Got::End);
  CHECK(got.offset == file.bytes().size());
}

TEST_CASE("each section has its own interfaces and byte order") {
  PcapNgFile file(false);
  file.interface(1);
  file.packet(0, 0, "first");
  file.section(true);
  file.interface(101);
  file.packet(0, 0, "second");
  CHECK(read(file.bytes()).frames == Frames{"first", "second"});
  CHECK(read(file.bytes()).link_types == std::vector<std::uint32_t>{1, 101});
  file.section(false);
  file.packet(0, 0, "of the interface before");
  const Read got = read(file.bytes());
  CHECK(got.frames.size() == 2);
  CHECK(got.end == CaptureFile::Got::Damaged);
  CHECK_THAT(got.error, Catch::Contains("interface 0"));
}

TEST_CASE("blocks that are not packets are skipped, however long they are") {
  PcapNgFile file;
  file.interface(1);
  file.block(4, std::string(64, 'n'));  // a block of names
  file.block(5, std::string(20, 's'));  // a block of statistics
  file.block(0x0bad, std::string(3'000'000, 'x'));
  file.packet(0, 0, "here");
  CHECK(read(file.bytes()).frames == Frames{"here"});
}

TEST_CASE("hundreds of interfaces are read") {
  PcapNgFile file;
  for (int i = 0; i < 600; ++i) file.interface(i % 2 == 0 ? 1 : 101, 64 + i);
  file.packet(599, 0, "last");
  CHECK(read(file.bytes()).link_types == std::vector<std::uint32_t>{101});
}

TEST_CASE("times in units from seconds to picoseconds become nanoseconds") {
  struct Row {
    std::string resolution;
    std::uint64_t ticks;
    std::uint64_t ns;
  };
  const Row rows[] = {{std::string(1, '\0'), 7, 7 * kSecond},
                      {"\x03", 7001, 7 * kSecond + 1'000'000},
                      {"\x06", 7, 7000},
                      {"\x09", 7, 7},
                      {"\x0c", 7'000'000, 7000},
                      {"\x80", 7, 7 * kSecond},
                      {"\xa0", (7ULL << 32) | (1ULL << 31), 7 * kSecond + kSecond / 2},
                      {"\xbf", 3ULL << 62, kSecond + kSecond / 2}};
  for (const Row& row : rows) {
    INFO(int(static_cast<unsigned char>(row.resolution[0])));
    PcapNgFile file;
    file.interface(1, 0, file.option(9, row.resolution));
    file.packet(0, row.ticks, "x");
    CHECK(read(file.bytes()).times == std::vector<std::uint64_t>{row.ns});
  }
}

TEST_CASE("a file that ends anywhere gives the packets before its end, and says that it is cut") {
  PcapNgFile ng;
  ng.interface(1);
  for (int i = 0; i < 3; ++i) ng.packet(0, 0, "packet " + std::to_string(i));
  PcapFile old(1);
  for (int i = 0; i < 3; ++i) old.frame("packet " + std::to_string(i));
  for (const std::string& whole : {ng.bytes(), old.bytes()}) {
    const std::size_t record = whole == ng.bytes() ? 40 : 24;
    for (std::size_t size = whole.size() - 2 * record; size < whole.size(); ++size) {
      const Read got = read(whole.substr(0, size));
      const std::size_t missing = (whole.size() - size + record - 1) / record;
      CHECK(got.frames.size() == 3 - missing);
      const bool between = (whole.size() - size) % record == 0;
      CHECK(got.end == (between ? CaptureFile::Got::End : CaptureFile::Got::Damaged));
      if (!between) CHECK_THAT(got.error, Catch::StartsWith("truncated"));
    }
  }
}

TEST_CASE("the size of the pieces in which a file is read makes no difference") {
  PcapNgFile file;
  file.interface(1);
  for (int i = 0; i < 20; ++i) file.packet(0, i, std::string(100 + i, static_cast<char>('a' + i)));
  const Read whole = read(file.bytes());
  CHECK(whole.frames.size() == 20);
  CHECK(read(file.bytes(), 1).frames == whole.frames);
  CHECK(read(file.bytes(), 97).frames == whole.frames);
}

TEST_CASE("the largest packets are read, and longer ones count as damage") {
  PcapFile file(1);
  file.frame(std::string(CaptureFile::kMaxFrame, 'x'));
  file.frame("after");
  CHECK(read(file.bytes()).frames.size() == 2);
  file.frame(std::string(CaptureFile::kMaxFrame + 1, 'x'));
  const Read got = read(file.bytes());
  CHECK(got.frames.size() == 2);
  CHECK(got.end == CaptureFile::Got::Damaged);
}

TEST_CASE("pcap's variants: byte order, nanoseconds, longer record headers, old lengths") {
  const auto little = [](std::initializer_list<std::uint32_t> words) {
    std::string out;
    for (const std::uint32_t word : words) {
      for (int i = 0; i < 4; ++i) out += static_cast<char>(word >> (8 * i));
    }
    return out;
  };
  const std::uint32_t version = 4U << 16 | 2U;
  const std::string nano = little({0xa1b23c4d, version, 0, 0, 65535, 1, 3, 5, 4, 8}) + "abcd";
  CHECK(read(nano).times == std::vector<std::uint64_t>{3 * kSecond + 5});
  CHECK(read(nano).wire == std::vector<std::size_t>{8});
  const std::string modified =
      little({0xa1b2cd34, version, 0, 0, 65535, 1, 3, 5, 4, 8, 0, 0}) + "abcd";
  CHECK(read(modified).frames == Frames{"abcd"});
  const std::string old = little({0xa1b2c3d4, 2U << 16 | 2U, 0, 0, 65535, 1, 3, 5, 8, 4}) + "abcd";
  CHECK(read(old).frames == Frames{"abcd"});
  CHECK(read(old).wire == std::vector<std::size_t>{8});
}

TEST_CASE("a contradiction counts as damage, with a reason") {
  const auto after = [](const auto& change) {
    PcapNgFile file;
    file.interface(1);
    file.packet(0, 0, "good");
    const std::size_t at = file.bytes().size();
    file.packet(0, 0, "bad!");
    std::string bytes = file.bytes();
    change(bytes, at);
    return read(bytes);
  };
  const Read rows[] = {
      after([](std::string& b, std::size_t at) { b[at + 4] = 8; }),       // a length below 12
      after([](std::string& b, std::size_t at) { b[at + 4] = 35; }),      // no multiple of 4
      after([](std::string& b, std::size_t at) { b[at + 8] = 1; }),       // no such interface
      after([](std::string& b, std::size_t at) { b[at + 20] = 100; }),    // captured > block
      after([](std::string& b, std::size_t) { b[b.size() - 4] = 40; }),   // the lengths differ
      after([](std::string& b, std::size_t at) { b[at + 7] = '\x7f'; }),  // two gigabytes
      after([](std::string& b, std::size_t at) { b.replace(at, 4, "\n\r\r\n"); }),  // no byte order
  };
  for (const Read& got : rows) {
    CHECK(got.frames == Frames{"good"});
    CHECK(got.end == CaptureFile::Got::Damaged);
    CHECK_FALSE(got.error.empty());
  }
}

TEST_CASE("a file that is neither pcap nor pcapng is refused") {
  CHECK_THROWS_AS(read(""), std::runtime_error);
  CHECK_THROWS_AS(read("abc"), std::runtime_error);
  CHECK_THROWS_AS(read("hello, this is not a capture"), std::runtime_error);
  CHECK_THROWS_AS(read("\xd4\xc3\xb2\xa1"), std::runtime_error);
  CHECK_THROWS_AS(read("\n\r\r\n" + std::string(40, '\0')), std::runtime_error);
}
