// Write recovery: which short segments the program made, and which the path made.
#include "classifier/writes.h"

#include <catch2/catch.hpp>
#include <numeric>

#include <rapidcheck.h>

#include "classifier/trace_text.h"

using namespace classifier;

namespace {

Writes recover(const std::string& fields) {
  const auto result = parse_trace("segmilter/1 " + fields);
  REQUIRE(std::holds_alternative<Trace>(result));
  return recover_writes(std::get<Trace>(result));
}

using Sizes = std::vector<std::uint32_t>;

}  // namespace

TEST_CASE("a short segment inside a message ends a write") {
  const Writes writes = recover("mss=1448 seg=1448,1448p,1200p,1448,1448p,1200p,33p");
  CHECK(writes.full == 1448);
  CHECK(writes.sizes == Sizes{4096, 4096, 33});
  REQUIRE(writes.boundaries.size() == 2);
  CHECK(writes.boundaries[0].offset == 4096);
  CHECK(writes.boundaries[0].segment == 2);
  CHECK(writes.boundaries[0].confidence > 0.9F);
}

TEST_CASE("one write and writes of whole segments look the same") {
  CHECK(recover("mss=1448 seg=1448x4p,1448x4p,12p").sizes == Sizes{11596});
}

TEST_CASE("the full size is what the segments show, not only what was announced") {
  struct Row {
    const char* why;
    const char* fields;
    std::uint32_t full;
  };
  const Row rows[] = {
      {"announced and seen", "mss=1448 seg=1448,1448p,7p", 1448},
      {"nothing announced, repeated", "seg=920x9,311", 920},
      {"nothing announced, one large", "seg=399p,1440,1377p", 1440},
      {"nothing announced, nothing large", "seg=39p,877p", 0},
      {"announced, all short", "mss=1448 seg=39p,877p", 1448},
      {"smaller path MTU: repeats without PSH", "mss=1448 seg=948,948p,948,412p", 948},
      {"buffers of 1024: all with PSH", "mss=1448 seg=1024x9p,5p", 1448},
      {"buffers of 1024, no PSH known", "mss=1448 seg=1024x9,5", 1448},
      {"the path grew after the SYN", "mss=536 seg=1400,1400p,90p", 1400},
      {"options took some bytes", "mss=1460 seg=1448,1448p,90p", 1448},
      {"one even read proves nothing", "via=read mss=1448 seg=916/2,1448,3", 1448},
      {"reads of two segments", "via=read seg=2896/2x3,138", 1448},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    CHECK(recover(row.fields).full == row.full);
  }
}

TEST_CASE("remnants of segments that were cut again are not made by the program") {
  // 2 x 1448 cut for 1448, sent as 948; then 1448 as 948 + 500.
  const Writes writes = recover("mss=1448 seg=948,948p,948,52p,948,500,881p");
  CHECK(writes.full == 948);
  CHECK(writes.sizes.size() == 1);
  for (const Boundary& boundary : writes.boundaries) CHECK(boundary.confidence < 0.1F);
}

TEST_CASE("two sizes in runs are a path that moves, and both are full") {
  const Writes writes = recover("mss=1400 seg=536,536p,536,536p,1400,1400p,1400,536,536p,536,90p");
  CHECK(writes.segment.full == 1400);
  CHECK(writes.segment.other == 536);
  CHECK(writes.segment.moves == 2);
  CHECK(writes.sizes.size() == 1);
}

TEST_CASE("a program's small writes in runs are not a path") {
  CHECK(recover("mss=1448 seg=600x4p,1448,1448p,3p").segment.other == 0);
  CHECK(recover("mss=1448 seg=78x5,1448,1448").segment.other == 0);
}

TEST_CASE("SACK blocks in the options do not make a write end") {
  CHECK(recover("mss=1448 seg=1448,1436p,1428,1448p,20p").sizes.size() == 1);
}

TEST_CASE("repairs and holes weaken a boundary, reads that joined segments hide it") {
  const auto first = [](const char* fields) { return recover(fields).boundaries.at(0).confidence; };
  const float clean = first("mss=1448 seg=300p,1448,1448p,9p");
  CHECK(first("mss=1448 seg=300pr,1448,1448p,9p") < clean);
  CHECK(first("mss=1448 seg=300p,1448h,1448p,9p") < kEvident);
  CHECK(first("mss=1448 seg=300,1448,1448p,9p") < clean);
  CHECK(first("via=read mss=1448 seg=300,1448,9") >= kEvident);
  CHECK(first("via=read mss=1448 seg=1748/2,1448,9") < kEvident);
}

TEST_CASE("after a hole offsets are counted from the message's end") {
  const Writes writes = recover("mss=1448 size=20000 seg=300p,1448,1448h,700p,1448,9p");
  REQUIRE(writes.boundaries.size() == 2);
  CHECK(writes.boundaries[0].offset == 300);
  CHECK(writes.boundaries[1].offset == 20000 - 1448 - 9);
}

TEST_CASE("between two holes no boundary is known") {
  const Writes writes = recover("mss=1448 size=20000 seg=300p,1448h,700p,1448h,600p,9p");
  REQUIRE(writes.boundaries.size() == 2);
  CHECK(writes.boundaries[0].offset == 300);
  CHECK(writes.boundaries[1].offset == 20000 - 9);
}

TEST_CASE("a full segment that came again in pieces makes no boundary") {
  const Writes writes = recover("mss=1460 seg=1460r,1460r,618r,842r,892p,1460,9p");
  CHECK(writes.sizes == Sizes{1460 * 3 + 892, 1469});
}

TEST_CASE("segments that are often a few bytes shorter show a smaller path and no write") {
  CHECK(recover("mss=1460 seg=1460r,1460r,1452,1452,1452,29p").sizes.size() == 1);
}

TEST_CASE("the rest of a buffer is a boundary even if it is as long as a segment with options") {
  const Writes writes = recover("mss=1372 seg=1372,1372p,1352p,1372,1372p,1352p,9p");
  CHECK(writes.sizes == Sizes{4096, 4096, 9});
}

TEST_CASE("bytes of a command in the segment count toward its fullness") {
  CHECK(recover("transfer=bdat mss=1448 seg=17<1431,1448p,20p").boundaries.empty());
}

TEST_CASE("any trace yields writes that add up to its segments") {
  REQUIRE(rc::check("sum of writes == sum of segments", [] {
    Trace trace;
    trace.path.mss = *rc::gen::element<std::uint32_t>(0U, 1U, 536U, 1448U, UINT32_MAX);
    trace.segments = *rc::gen::container<std::vector<Segment>>(rc::gen::build<Segment>(
        rc::gen::set(&Segment::size, rc::gen::inRange<std::uint32_t>(1, 3000)),
        rc::gen::set(&Segment::count, rc::gen::inRange<std::uint32_t>(0, 4)),
        rc::gen::set(&Segment::push), rc::gen::set(&Segment::resent), rc::gen::set(&Segment::late),
        rc::gen::set(&Segment::hole)));
    std::uint64_t sum = 0;
    for (const Segment& segment : trace.segments) sum += segment.size;
    const Writes writes = recover_writes(trace);
    RC_ASSERT(std::accumulate(writes.sizes.begin(), writes.sizes.end(), std::uint64_t{0}) == sum);
    for (const Boundary& boundary : writes.boundaries) {
      RC_ASSERT(boundary.confidence >= 0.0F && boundary.confidence <= 1.0F);
      RC_ASSERT(boundary.offset < std::max(sum, trace.size));
    }
  }));
}

TEST_CASE("a short segment without PSH is made by the path, if other segments have PSH") {
  struct Row {
    const char* why;
    const char* fields;
    bool believed;
  };
  const Row rows[] = {
      {"with PSH", "mss=1448 seg=1448,1448p,1200p,1448,1448p,33p", true},
      {"without", "mss=1448 seg=1448,1448p,1200,1448,1448p,33p", false},
      {"a tunnel's first segment", "mss=1400 seg=1368,754p", false},
      {"no segment has PSH", "mss=1448 seg=1448,1448,1200,1448,1448,33", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    CHECK((recover(row.fields).sizes.size() > 1) == row.believed);
  }
}

TEST_CASE("segments that were cut again for another size are no writes, in either direction") {
  struct Row {
    const char* why;
    const char* fields;
  };
  const Row rows[] = {
      {"two segments sent as one unit, lost, cut for less",
       "mss=1448 seg=1448,1448p,1448,1448p,1220o,1220o,456po,981p"},
      {"one, in two pieces", "mss=1460 seg=1460,1460p,618r,842pr,1460,400p"},
      {"a tunnel's few bytes", "mss=1440 seg=1368,1368p,144p,1368,1368p,144p,1368,1368p,144p,900p"},
      {"cut for 1368, sent when 1428 had come back",
       "mss=1428 seg=1368,1368p,1368,1368p,1428,1308p,1428,1308p,868p"},
      {"the large size was announced and never seen",
       "mss=1388 seg=524,524p,524,524p,524,156p,524,524p,524,524p,1048,90p"},
  };
  for (const Row& row : rows) {
    const Writes writes = recover(row.fields);
    CAPTURE(row.why, writes.sizes);
    CHECK(writes.sizes.size() == 1);
  }
}

TEST_CASE("the last read says whether it hides more than the message's tail") {
  CHECK_FALSE(recover("via=read mss=1448 seg=1448,5344/4").hidden_end);
  CHECK(recover("via=read mss=1448 seg=1448,4000/4").hidden_end);
  CHECK(recover("via=read mss=1448 seg=4344/4").hidden_end);
  CHECK_FALSE(recover("via=read mss=1448 seg=1448,900").hidden_end);
}
