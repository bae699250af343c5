// Where boundaries lie: landmarks, grids, lines.
#include "classifier/features.h"

#include <catch2/catch.hpp>

#include "classifier/trace_text.h"

using namespace classifier;

namespace {

// A header of 40, 77, 124, 302 and a blank line.
constexpr const char* kHeader = "mss=1448 line1=40 header=302 body=304 dot=3 fields=40,77,124,302 ";

Features of(const std::string& fields) {
  const auto result = parse_trace("segmilter/1 " + fields);
  REQUIRE(std::holds_alternative<Trace>(result));
  const Trace& trace = std::get<Trace>(result);
  return extract(trace, recover_writes(trace));
}

}  // namespace

TEST_CASE("each cut gets the place in which it lies") {
  struct Row {
    const char* why;
    const char* segments;
    Place place;
  };
  const Row rows[] = {
      {"terminator of three", "seg=1448,900p,3pn", Place::Terminator},
      {"terminator of five", "seg=1448,900p,5pn", Place::Terminator},
      {"six bytes are no terminator", "seg=1448,900pn,6pn", Place::BodyLine},
      {"first field", "seg=40pn,1448,9pn", Place::FirstField},
      {"first line, its CRLF to follow", "seg=38p,1448,9pn", Place::FirstLine},
      {"another field", "seg=77pn,1448,9pn", Place::HeaderLine},
      {"another field, its CRLF to follow", "seg=75p,1448,9pn", Place::HeaderLine},
      {"another field, three bytes held back", "seg=121p,1448,9pn", Place::HeaderLine},
      {"between CR and LF", "seg=200pc,1448,9pn", Place::HeaderLine},
      {"folded line of a field", "seg=200pn,1448,9pn", Place::HeaderLine},
      {"its CRLF in the next segment, alone", "seg=200p,2pn,1448,9pn", Place::HeaderLine},
      {"inside a header line", "seg=86p,1448,9pn", Place::HeaderMiddle},
      {"header without the blank line", "seg=302pn,1448,9pn", Place::HeaderEnd},
      {"header with the blank line", "seg=304pn,1448,9pn", Place::HeaderEnd},
      {"line of the body", "seg=900pn,1448,9pn", Place::BodyLine},
      {"inside the body", "seg=900p,1448,9pn", Place::BodyMiddle},
      {"buffer's end", "seg=1024p,1448,9pn", Place::Grid},
      {"Exim's buffer's end", "seg=1448x5,949p,1448,9pn", Place::Grid},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const Features features = of(std::string(kHeader) + row.segments);
    REQUIRE(!features.cuts.empty());
    CHECK(features.cuts.front().place == row.place);
  }
}

TEST_CASE("a buffer's end inside the header is not a template's cut") {
  const Features features =
      of("mss=1448 line1=40 header=5000 body=5002 dot=3 seg=1448x2,1200p,1448,9pn");
  CHECK(features.at(Place::Grid) == 1);
  CHECK(features.at(Place::HeaderMiddle) == 0);
}

TEST_CASE("the end of a BDAT chunk is a cut of the protocol") {
  const Features features = of(
      "transfer=bdat mss=1448 line1=64 header=484 body=486 seg=80<486pn,17<1431,1448x4,968p,454n");
  CHECK(features.at(Place::Chunk) == 1);
  CHECK(features.at(Place::HeaderEnd) == 0);
}

TEST_CASE(
    "the one short segment in a joined read is searched where a line, the header or a buffer "
    "ends") {
  struct Row {
    const char* why;
    const char* segments;
    std::uint32_t offset;
    Place place;
  };
  const Row rows[] = {
      {"first field and a full segment", "seg=1488/2,1448,9n", 40, Place::FirstField},
      {"header and two full segments", "seg=3200/3,1448,9n", 304, Place::HeaderEnd},
      {"4096 in three", "seg=4096/3,1448,9n", 4096, Place::Grid},
      {"4096 and a full segment after it", "seg=5544/4,1448,9n", 4096, Place::Grid},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    const Features features = of(std::string("via=read ") + kHeader + row.segments);
    REQUIRE(features.cuts.size() == 1);
    CHECK(features.cuts[0].offset == row.offset);
    CHECK(features.cuts[0].place == row.place);
    CHECK_FALSE(features.hidden_first);
  }
  const Features nowhere = of(std::string("via=read ") + kHeader + "seg=1534/2,1448,9n");
  CHECK(nowhere.cuts.empty());
  CHECK(nowhere.hidden_first);
}

TEST_CASE("the block is the largest size that the cuts are multiples of") {
  struct Row {
    const char* segments;
    std::uint32_t block;
  };
  const Row rows[] = {
      {"mss=1448 seg=1448,1448p,1200p,1448,1448p,1200p,7p", 4096},
      {"mss=908 seg=908x4,464p,908x4,464p,7p", 4096},
      {"mss=1448 seg=1448x5,949p,1448,7p", 8189},
      {"mss=1448 seg=1448x5,952p,1448,7p", 8192},
      {"mss=1448 seg=1024p,1448x2,176p,600p", 1024},
      {"mss=1448 seg=1448,600p,1448,600p,7p", 2048},
      {"mss=1448 seg=1448x3,656p,1448x3,656p,7p", 5000},
      {"mss=1448 seg=1448,77p,1448x3,600p,7p", 0},
      {"mss=1448 seg=1448x9,7p", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.segments);
    CHECK(of(row.segments).block == row.block);
  }
}

TEST_CASE("buffers that are filled with whole lines are known by their ends") {
  CHECK(of("mss=1448 dot=3 seg=1448x5,895pn,1448,7pn").line_buffer);
  CHECK_FALSE(of("mss=1448 dot=3 seg=1448x5,895p,1448,7pn").line_buffer);
  CHECK_FALSE(of("mss=1448 dot=3 seg=1448x4,895pn,1448,7pn").line_buffer);
}

TEST_CASE("repairs are counted, PSH is measured on full segments") {
  const Features features = of("mss=1448 seg=40p,1448,1448p,1448r,1448po,9p");
  CHECK(features.repaired == 2);
  CHECK(features.segments == 6);
  CHECK(features.push_share == Approx(0.5));
}

TEST_CASE("a buffer may begin with the command before the message or the chunk") {
  // MAIL, RCPT, DATA and the message, 1024 at a time.
  const Features ahead = of(std::string(kHeader) + "seg=95<929p,1024p,1024p,500pn");
  CHECK(ahead.block == 1024);
  CHECK(ahead.on_grid == 3);
  CHECK(ahead.cuts.front().offset == 929);
  CHECK(ahead.cuts.front().run == 1024);
  // Exim: the header in its own chunk, then blocks of 8191 from the second chunk on. Recorded.
  const Features chunks =
      of("transfer=bdat mss=1448 line1=50 header=2717 body=2719 fields=50,2717 chunks=2 "
         "chunk-begins=2719 seg=81<1367,1352pn,17<1431,1448p,1448,1448p,1448,968p,1448,700pn");
  CHECK(chunks.at(Place::Chunk) == 1);
  CHECK(chunks.block == kEximChunkBlock);
}

TEST_CASE("the beginning of a chunk is no end of a write, whatever segments carried its command") {
  const std::string head =
      "transfer=bdat mss=1448 line1=40 header=302 body=304 fields=40,302 chunks=3 ";
  // The second chunk's command came alone, so no segment shows it.
  const Features told = of(head + "chunk-begins=304,1304 seg=304pn,1000p,1448,1448p,1200p,20pn");
  CHECK(told.at(Place::Chunk) == 2);
  CHECK(told.block == 4096);
  // The buffer's end is counted from the chunk's beginning, which no segment shows.
  const Features later = of(head + "chunk-begins=304,1304 seg=304pn,1448,1448p,1448,752p,20pn");
  CHECK(later.block == 4096);
  CHECK(later.cuts.back().run == 4096);
}

TEST_CASE("under TLS each record is a write, and only a full one continues in the next") {
  const Features large = of("tls=yes mss=1448 seg=1448x13,200p rec=16384,2210,3");
  CHECK(large.shape == TlsShape::OneWrite);
  CHECK(large.telling() == 0);
  CHECK(large.at(Place::Terminator) == 1);
  const Features blocks = of("tls=yes mss=1448 seg=1448x8,1200p rec=4096,4096,2213+6");
  CHECK(blocks.block == 4096);
  CHECK(blocks.on_grid == 2);
  const Features segments = of("tls=yes mss=1448 seg=1448x8,1200p rec=5792,5792,900");
  CHECK(segments.telling() == 0);
  const Features lines = of("tls=yes mss=1448 seg=1448,200p rec=40,37,28,39,2,60,3");
  CHECK(lines.at(Place::FirstLine) == 1);
  CHECK(lines.at(Place::Terminator) == 1);
}

TEST_CASE("a block does not count if the first segment would have shown it") {
  // Postfix on a path of 9000 bytes: the ends are the edge of the receiver's window.
  const Features edges = of("mss=8948 seg=8948x7,852p,8948x3,3876p,5359pn");
  CHECK(edges.block == 0);
  CHECK(edges.on_grid == 0);
  // A writer of 2048 on the same path. Bytes that came with DATA may have waited.
  CHECK(of("mss=8948 seg=2048p,8948x6,7752p,5359pn").block == 2048);
  CHECK(of("mss=8948 talk=early-data seg=8948x7,852p,8948x3,3876p,5359pn").block == 2048);
}

TEST_CASE("hidden ends do not make a block larger than it is") {
  CHECK(of("mss=1448 seg=1448x8,704p,1448,200p").block == 4096);         // one end, at 12288
  CHECK(of("mss=1460 seg=1460x7,20p,1460x7,20p,90p").block == 10240);    // all ends, none at 5120
  CHECK(of("mss=1448 seg=1448x11,450p,1448,200p").block == kEximBlock);  // one end, at 2 x 8189
}
