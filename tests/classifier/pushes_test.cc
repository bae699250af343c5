// PSH where the sender's TCP sets it at the ends of writes.
#include "classifier/pushes.h"

#include <catch2/catch.hpp>

#include "classifier/trace_text.h"

using namespace classifier;

namespace {

constexpr const char* kLwip = "4:252:0:1460:65535,1:mss,nop,ws::0";

PushedEnds of(const std::string& syn, const std::string& fields) {
  const auto result =
      parse_trace("segmilter/1 mss=1460 " + (syn.empty() ? syn : "syn=" + syn + " ") + fields);
  REQUIRE(std::holds_alternative<Trace>(result));
  const Trace& trace = std::get<Trace>(result);
  return pushed_ends(trace, recover_writes(trace));
}

}  // namespace

TEST_CASE("a buffer is known by the full segments in which it ends") {
  struct Row {
    const char* why;
    const char* segments;
    PushedEnds ends;
  };
  const Row rows[] = {
      {"2048, recorded",
       "seg=1460,1460p,1460p,1460,1460p,1460p,1460,1460p,1460p,1460p,1460,217pn",
       {11, 7, 2048}},
      {"2048, three segments", "seg=1460,1460p,1460p,626pn", {3, 2, 2048}},
      {"4096", "seg=1460x2,1460p,1460x2,1460p,1460x2,1460p,900pn", {9, 3, 4096}},
      {"8192, one end, recorded", "seg=1460x5,1460p,1460x5,217pn", {11, 1, 8192}},
      {"the last end a segment too late",
       "seg=1460x5,1460p,1460x5,1460p,1460x4,1460p,1460x5,1460p,1460x5,1460p,1460x5,1460p,9pn",
       {35, 6, 0}},
      {"one write", "seg=1460x11,215pn", {11, 0, 0}},
      {"lines", "seg=1460x11p,177pn", {11, 11, 0}},
      {"an end that is missing", "seg=1460,1460p,1460,1460,1460p,1460p,217pn", {6, 3, 0}},
      {"one too many", "seg=1460p,1460p,1460p,626pn", {3, 3, 0}},
      {"every second, as Linux does", "seg=1460,1460p,1460,1460p,1460,1460p,217pn", {6, 3, 0}},
  };
  for (const Row& row : rows) {
    INFO(row.why);
    const PushedEnds found = of(kLwip, row.segments);
    CHECK(found.fulls == row.ends.fulls);
    CHECK(found.pushed == row.ends.pushed);
    CHECK(found.block == row.ends.block);
  }
}

TEST_CASE("PSH shows ends of writes only after a SYN of such a TCP") {
  const std::string blocks = "seg=1460,1460p,1460p,626pn";
  for (const char* syn : {kLwip, "4:255:0:1460:65535,0:mss::0"}) {
    INFO(syn);
    CHECK(of(syn, blocks).block == 2048);
  }
  for (const char* syn : {"", "4:64:0:1460:64240,7:mss,sok,ts,nop,ws:df,id+:0",
                          "4:64:0:1460:64240,7:mss,nop,ws:df,id+:0", "6:63:0:1440:512,0:mss::0",
                          "4:64:0:1460:64240,7:mss,nop,nop,sok,nop,ws:df:0",
                          "4:128:0:1460:8192,8:mss,nop,ws,nop,nop,sok:df,id+:0",
                          "4:64:0:1460:65535,6:mss,nop,ws,nop,nop,ts:df:0", "mss,nop,ws",
                          "4:64:0:1460:65535,1:", "4:64:0:1460:65535,1"}) {
    INFO(syn);
    CHECK(of(syn, blocks) == PushedEnds{});
  }
}

TEST_CASE("PSH shows nothing unless every segment was seen as it was sent") {
  for (const char* fields : {"seg=1460,1460p,1460pr,626pn", "seg=1460,1460po,1460p,626pn",
                             "seg=1460,1460p,1460ph,626pn", "via=read seg=1460,2920/2p,626pn",
                             "state=partial reason=dropped seg=1460,1460p,1460p,626pn",
                             "seg=1460x3,626n", "seg=805pn"}) {
    INFO(fields);
    CHECK(of(kLwip, fields) == PushedEnds{});
  }
}
