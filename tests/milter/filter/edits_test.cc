// Tests the cost of deleting our headers in Postfix, and what stands above Postfix's own Received.
#include "milter/filter/edits.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using classifier::Landmarks;
using filter::OwnHeaders;

namespace {

constexpr char kOurs[] = "X-Protocol-Pattern";

OwnHeaders with(int ours, const std::string& value, int others = 0,
                const std::string& other = "x") {
  OwnHeaders headers;
  for (int i = 0; i < others; ++i) headers.field("X-Other", other);
  for (int i = 0; i < ours; ++i) headers.field(kOurs, value);
  return headers;
}

Landmarks fields(const std::vector<std::uint32_t>& sizes) {
  Landmarks marks;
  for (const auto size : sizes) {
    marks.header_end += size;
    if (marks.fields.size() < Landmarks::kMaxFields) marks.fields.push_back({marks.header_end});
  }
  return marks;
}

}  // namespace

TEST_CASE("our headers are counted in any case of letters") {
  OwnHeaders headers;
  for (const auto* name : {kOurs, "x-protocol-pattern", "X-PROTOCOL-PATTERN", "X-Protocol-Patter",
                           "X-Protocol-Pattern-", "Subject"}) {
    headers.field(name, "v=1");
  }
  CHECK(headers.count() == 3);
}

TEST_CASE("the limit is on the lines that Postfix would read to delete our headers") {
  struct Row {
    const char* label;
    OwnHeaders headers;
    bool too_many;
  };
  std::string folded;
  for (int i = 0; i < 1000; ++i) folded += "a\n b";
  const std::string long_value(20'000, 'x');
  const Row rows[] = {
      {"none after a million others", with(0, "", 1'000'000), false},
      {"nine after a million others", with(9, "v=1", 1'000'000), false},
      {"ten after a million others", with(10, "v=1", 1'000'000), true},
      {"4400 of one line", with(4400, "v=1"), false},
      {"4500 of one line", with(4500, "v=1"), true},
      {"140 of a thousand lines", with(140, folded), false},
      {"150 of a thousand lines", with(150, folded), true},
      {"ten after 100 MB in long lines", with(10, "v=1", 5'000, long_value), false},
      {"a hundred after them", with(100, "v=1", 5'000, long_value), true},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(row.headers.too_many() == row.too_many);
  }
}

TEST_CASE("fields added above the message are found by the sizes of the fields that were sent") {
  const std::vector<std::uint32_t> sixty(60, 11);
  auto long_header = sixty;
  long_header.insert(long_header.end(), {12, 13, 14, 15, 16});
  auto with_front = long_header;
  with_front.insert(with_front.begin(), {20, 30});
  struct Row {
    const char* label;
    std::vector<std::uint32_t> shown, sent;
    unsigned expected;
  };
  const Row rows[] = {
      {"nothing", {40, 20, 30}, {40, 20, 30}, 0},
      {"one field", {11, 40, 20, 30}, {40, 20, 30}, 1},
      {"three fields", {11, 12, 13, 40, 20, 30}, {40, 20, 30}, 3},
      {"one before, two after", {11, 40, 20, 30, 50, 60}, {40, 20, 30}, 1},
      {"one of the size of the first", {40, 40, 20}, {40, 20}, 1},
      {"only after", {40, 20, 30, 50}, {40, 20, 30}, 0},
      {"fields were changed", {11, 41, 20, 30}, {40, 20, 30}, 0},
      {"fields were taken away", {40, 20}, {40, 20, 30}, 0},
      {"what was sent is not known", {40, 20}, {}, 0},
      {"nothing is shown", {}, {40}, 0},
      {"a header of more fields than are kept", long_header, long_header, 0},
      {"two fields before it", with_front, long_header, 2},
  };
  for (const Row& row : rows) {
    INFO(row.label);
    CHECK(filter::fields_in_front(fields(row.shown), fields(row.sent)) == row.expected);
  }
}
