#include "milter/page/bars.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string_view>

#include "milter/page/page.h"

namespace page {
namespace {

constexpr std::size_t kMostBars = 1000;
constexpr double kHeight = 200;  // pixels of the tallest bar
constexpr double kTop = 16;      // room for the number of the tallest bar
constexpr double kBottom = 22;   // room for the labels
constexpr std::size_t kLabels = 6;

// The hatching of each colour, in a square of 8 pixels: colours are not all that tells kinds apart.
// The last one is plain.
constexpr std::array<std::string_view, kBarColours> kHatchings = {
    "M-1 1l2-2M0 8l8-8M7 9l2-2",  // rising
    "M-1 7l2 2M0 0l8 8M7-1l2 2",  // falling
    "M0 4h8",                     // lying
    "M4 0v8",                     // standing
    "M0 4h8M4 0v8",               // a grid
    "M0 0l8 8M0 8l8-8",           // a grid on its edge
    "M1 2h2M5 6h2",               // points
    "",
};

// "url(#patterns-2)"
std::string fill(const Bars& bars, std::size_t colour) {
  return fmt::format("url(#{}-{})", bars.key, colour);
}

// One for each colour that the kinds use, and not for each kind: an id may be there once.
std::string draw_hatchings(const Bars& bars) {
  std::array<bool, kBarColours> used{};
  for (const Kind& kind : bars.kinds) used[kind.colour] = true;
  std::string text = "<defs>";
  for (std::size_t i = 0; i < used.size(); ++i) {
    if (!used[i]) continue;
    text += fmt::format(
        "<pattern id=\"{}-{}\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">"
        "<rect class=\"k{}\" width=\"8\" height=\"8\"/><path d=\"{}\"/></pattern>",
        bars.key, i, i, kHatchings[i]);
  }
  return text + "</defs>\n";
}

std::uint64_t sum_of(const Bar& bar) {
  return std::accumulate(bar.parts.begin(), bar.parts.end(), std::uint64_t{0});
}

// Neighbours are added up until there are few enough.
std::vector<Bar> joined(const std::vector<Bar>& bars) {
  const auto step = (bars.size() + kMostBars - 1) / kMostBars;
  std::vector<Bar> all;
  for (std::size_t i = 0; i < bars.size(); ++i) {
    if (i % std::max<std::size_t>(step, 1) == 0) {
      all.push_back(bars[i]);
      continue;
    }
    auto& parts = all.back().parts;
    parts.resize(std::max(parts.size(), bars[i].parts.size()));
    for (std::size_t k = 0; k < bars[i].parts.size(); ++k) parts[k] += bars[i].parts[k];
  }
  return all;
}

std::string title_of(const Bar& bar, const std::vector<Kind>& kinds) {
  std::string text = fmt::format("{}: {}", bar.label, sum_of(bar));
  for (std::size_t k = 0; k < bar.parts.size() && k < kinds.size(); ++k) {
    if (bar.parts[k] != 0) text += fmt::format("; {} {}", kinds[k].name, bar.parts[k]);
  }
  return text;
}

// Widths are shares of the picture's width, heights are pixels, as in drawing.h.
std::string draw_bar(const Bar& bar, const Bars& bars, double left, double width,
                     std::uint64_t most) {
  const auto& kinds = bars.kinds;
  std::string text = fmt::format("<g><title>{}</title>", escape(title_of(bar, kinds)));
  double bottom = kTop + kHeight;
  for (std::size_t k = 0; k < bar.parts.size() && k < kinds.size(); ++k) {
    if (bar.parts[k] == 0) continue;
    const double height = kHeight * static_cast<double>(bar.parts[k]) / static_cast<double>(most);
    bottom -= height;
    text += fmt::format(
        "<rect fill=\"{}\" x=\"{:.3f}%\" y=\"{:.2f}\" width=\"{:.3f}%\" height=\"{:.2f}\"/>",
        fill(bars, kinds[k].colour), left, bottom, width, height);
  }
  return text + "</g>\n";
}

}  // namespace

std::string draw(const Bars& bars) {
  const auto all = joined(bars.bars);
  std::uint64_t most = 0;
  for (const auto& bar : all) most = std::max(most, sum_of(bar));
  if (most == 0) return {};
  const double width = 100.0 / static_cast<double>(all.size());
  std::string text = fmt::format(
      "<svg class=\"bars\" role=\"img\"><title>{}</title><desc>{}; the tallest bar is {}</desc>\n"
      "{}<text x=\"0\" y=\"11\">{}</text>\n",
      escape(bars.title), escape(bars.description), most, draw_hatchings(bars), most);
  for (std::size_t i = 0; i < all.size(); ++i) {
    text += draw_bar(all[i], bars, width * static_cast<double>(i), width * 0.9, most);
  }
  const auto every = std::max<std::size_t>(1, (all.size() + kLabels - 1) / kLabels);
  for (std::size_t i = 0; i < all.size(); i += every) {
    text += fmt::format("<text class=\"{}\" x=\"{:.3f}%\" y=\"{}\">{}</text>\n",
                        i / every % 3 == 0 ? "" : "wide", width * static_cast<double>(i),
                        kTop + kHeight + kBottom - 6, escape(all[i].label));
  }
  return text + "</svg>\n";
}

std::string legend(const Bars& bars) {
  std::string text = "<ul class=\"kinds\">\n";
  for (std::size_t k = 0; k < bars.kinds.size(); ++k) {
    text += fmt::format(
        "<li><svg class=\"key\" aria-hidden=\"true\"><rect fill=\"{}\" width=\"100%\" "
        "height=\"100%\"/></svg> {}</li>\n",
        fill(bars, bars.kinds[k].colour), escape(bars.kinds[k].name));
  }
  return text + "</ul>\n";
}

}  // namespace page
