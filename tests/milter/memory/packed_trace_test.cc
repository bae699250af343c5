#include "milter/memory/packed_trace.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <string>

#include "milter/memory/sighting_bytes.h"

using memory::TracePacker;

TEST_CASE("a trace comes back as it was") {
  TracePacker packer;
  for (const std::string& text : {std::string(), std::string("segmilter/1 seg=916pn"),
                                  std::string(memory::kMostTraceText, 'x')}) {
    const std::string packed(packer.pack(text));
    CHECK(packer.unpack(packed, TracePacker::kDictionary) == text);
  }
}

TEST_CASE("the dictionary makes a trace a third of its text") {
  TracePacker packer;
  std::ifstream corpus("tests/data/corpus/base.trace");
  std::size_t plain = 0;
  std::size_t packed = 0;
  for (std::string line; std::getline(corpus, line);) {
    plain += line.size();
    packed += packer.pack(line).size();
  }
  REQUIRE(plain > 10'000);
  CHECK(packed < plain / 3);
}

TEST_CASE("a trace that cannot be unpacked is reported as missing") {
  TracePacker packer;
  std::string packed(packer.pack("segmilter/1 mss=1440 seg=399p,29p,184pn,1440,1377pn"));
  CHECK_FALSE(packer.unpack(packed, TracePacker::kDictionary + 1));
  CHECK_FALSE(packer.unpack(packed.substr(0, packed.size() - 1), TracePacker::kDictionary));
  CHECK_FALSE(packer.unpack("no frame of zstd", TracePacker::kDictionary));
}
