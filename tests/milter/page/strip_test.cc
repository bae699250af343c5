// Tests the drawing of a message as one line of characters.
#include "milter/page/strip.h"

#include <catch2/catch.hpp>
#include <variant>

#include "classifier/trace_text.h"

namespace {

classifier::Trace trace_of(const std::string& notation) {
  return std::get<classifier::Trace>(classifier::parse_trace(notation));
}

}  // namespace

TEST_CASE("a strip shows where segments and writes end") {
  struct Row {
    const char* what;
    std::string notation;
    std::vector<std::uint32_t> writes;
    std::string strip;
  };
  const Row rows[] = {
      {"one segment", "segmilter/1 seg=96n", {96}, "--|"},
      {"two segments, one write", "segmilter/1 seg=96,96n", {192}, "--+--|"},
      {"two writes", "segmilter/1 seg=96,96n", {96, 96}, "--|--|"},
      {"sent again", "segmilter/1 seg=96,96r,96n", {288}, "--+==+--|"},
      {"a hole", "segmilter/1 seg=96,96h,96n", {288}, "--+?-+--|"},
      {"nothing", "segmilter/1 state=unobserved reason=lost", {}, ""},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    const auto trace = trace_of(row.notation);
    classifier::Verdict verdict;
    verdict.writes = row.writes;
    CHECK(page::strip(trace, verdict, 80) == row.strip);
  }
  const auto large = trace_of("segmilter/1 mss=1448 seg=1448x5000");
  CHECK(page::strip(large, classifier::classify(large, {}), 80).size() == 80);
}
