// Draws bars of counts over time as an SVG picture, stacked by kind, with the classes of page.h's
// style sheet. Each kind has a colour and a hatching of its own. The counts are drawn as they are, without smoothing. A picture has a name and a
// description for screen readers, and each bar says its numbers as its title; the page shows the
// same numbers as a table. No script, no style attribute. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace page {

struct Bar {
  std::string label;                 // for example the time at which the bin begins
  std::vector<std::uint64_t> parts;  // one for each kind, from the bottom up
};

struct Kind {
  std::string name;
  std::size_t colour = 0;  // less than kBarColours
};

// Colours of the style sheet, each with its hatching: from red, for what is bad, over green to grey,
// for what says nothing.
inline constexpr std::size_t kBarColours = 8;

struct Bars {
  std::string key;  // one word, which no other bars of the page have: ids begin with it
  std::string title;
  std::string description;  // what a bar is, for example "messages in an hour"
  std::vector<Kind> kinds;  // of the parts
  std::vector<Bar> bars;
};

// Empty if there is no bar. More than 1000 bars are drawn as 1000, of which each adds up
// neighbours.
std::string draw(const Bars& bars);

// The colours and the names of the kinds, as an HTML list. The page must have the picture too, since
// the hatchings are there.
std::string legend(const Bars& bars);

}  // namespace page
