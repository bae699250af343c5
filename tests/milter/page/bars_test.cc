#include "milter/page/bars.h"

#include <fmt/format.h>
#include <catch2/catch.hpp>
#include <set>
#include <string>

using page::Bars;
using page::draw;

namespace {

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("bars are stacked to scale from the bottom up") {
  const Bars bars{.key = "a",
                  .title = "Patterns",
                  .description = "messages in an hour",
                  .kinds = {{"mobile", 0}, {"relay", 1}},
                  .bars = {{"10:00", {30, 70}}, {"11:00", {50, 0}}}};
  const auto svg = draw(bars);
  CHECK_THAT(svg, Catch::Contains(
                      "<title>Patterns</title><desc>messages in an hour; the tallest bar is 100"));
  CHECK_THAT(svg, Catch::Contains("<title>10:00: 100; mobile 30; relay 70</title>"));
  CHECK_THAT(svg, Catch::Contains("<rect fill=\"url(#a-0)\" x=\"0.000%\" y=\"156.00\" "
                                  "width=\"45.000%\" height=\"60.00\"/>"));
  CHECK_THAT(svg, Catch::Contains("<rect fill=\"url(#a-1)\" x=\"0.000%\" y=\"16.00\" "
                                  "width=\"45.000%\" height=\"140.00\"/>"));
  CHECK(count(svg, "<rect fill") == 3);
}

TEST_CASE("without bars nothing is drawn") {
  CHECK(draw({}).empty());
  CHECK(draw({.kinds = {{"mobile", 0}}, .bars = {{"10:00", {0}}}}).empty());
}

TEST_CASE("text from outside is no markup") {
  const Bars bars{.key = "a",
                  .title = "<b>",
                  .description = "<i>",
                  .kinds = {{"<u>", 0}},
                  .bars = {{"<s>", {1}}}};
  const auto svg = draw(bars) + legend(bars);
  for (const char* tag : {"<b>", "<i>", "<u>", "<s>"}) CHECK(svg.find(tag) == svg.npos);
}

TEST_CASE("many bars become fewer whose numbers add up") {
  Bars bars{.key = "a", .title = "a", .description = "b", .kinds = {{"k", 0}}, .bars = {}};
  for (int i = 0; i < 2500; ++i) bars.bars.push_back({std::to_string(i), {1}});
  const auto svg = draw(bars);
  CHECK(count(svg, "<rect fill") == 834);
  CHECK_THAT(svg, Catch::Contains("the tallest bar is 3"));
}

TEST_CASE("a part without a kind is not drawn, and two kinds may share a colour") {
  const Bars bars{.key = "a",
                  .title = "a",
                  .description = "b",
                  .kinds = {{"noisy", 7}, {"indistinct", 7}},
                  .bars = {{"x", {1, 1, 1}}}};
  CHECK(count(draw(bars), "fill=\"url(#a-7)\"") == 2);
  CHECK(count(legend(bars), "fill=\"url(#a-7)\"") == 2);
}

TEST_CASE("each colour has a hatching of its own, which is there once in a page") {
  Bars bars{.key = "a", .title = "t", .description = "d", .kinds = {}, .bars = {{"x", {}}}};
  for (std::size_t i = 0; i < page::kBarColours; ++i) {
    bars.kinds.push_back({"one", i});
    bars.kinds.push_back({"another", i});
    bars.bars[0].parts.insert(bars.bars[0].parts.end(), {1, 1});
  }
  const auto page = draw(bars) + legend(bars);
  std::set<std::string> hatchings;
  for (std::size_t i = 0; i < page::kBarColours; ++i) {
    CHECK(count(page, fmt::format("id=\"a-{}\"", i)) == 1);
    CHECK(count(page, fmt::format("fill=\"url(#a-{})\"", i)) == 4);
    const auto begin = page.find("<path", page.find(fmt::format("<rect class=\"k{}\"", i)));
    hatchings.insert(page.substr(begin, page.find("/>", begin) - begin));
  }
  CHECK(hatchings.size() == page::kBarColours);
}
