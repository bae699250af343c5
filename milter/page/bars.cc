#include "milter/page/bars.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "milter/page/page.h"

namespace page {
namespace {

constexpr std::size_t kMostBars = 1000;
constexpr double kHeight = 200;  // pixels of the tallest bar
constexpr double kTop = 16;      // room for the number of the tallest bar
constexpr double kBottom = 22;   // room for the labels
constexpr std::size_t kLabels = 6;

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
std::string draw_bar(const Bar& bar, const std::vector<Kind>& kinds, double left, double width,
                     std::uint64_t most) {
  std::string text = fmt::format("<g><title>{}</title>", escape(title_of(bar, kinds)));
  double bottom = kTop + kHeight;
  for (std::size_t k = 0; k < bar.parts.size() && k < kinds.size(); ++k) {
    if (bar.parts[k] == 0) continue;
    const double height = kHeight * static_cast<double>(bar.parts[k]) / static_cast<double>(most);
    bottom -= height;
    text += fmt::format(
        "<rect class=\"k{}\" x=\"{:.3f}%\" y=\"{:.2f}\" width=\"{:.3f}%\" height=\"{:.2f}\"/>",
        kinds[k].colour, left, bottom, width, height);
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
      "<text x=\"0\" y=\"11\">{}</text>\n",
      escape(bars.title), escape(bars.description), most, most);
  for (std::size_t i = 0; i < all.size(); ++i) {
    text += draw_bar(all[i], bars.kinds, width * static_cast<double>(i), width * 0.9, most);
  }
  const auto every = std::max<std::size_t>(1, (all.size() + kLabels - 1) / kLabels);
  for (std::size_t i = 0; i < all.size(); i += every) {
    text += fmt::format("<text class=\"{}\" x=\"{:.3f}%\" y=\"{}\">{}</text>\n",
                        i / every % 2 == 0 ? "" : "wide", width * static_cast<double>(i),
                        kTop + kHeight + kBottom - 6, escape(all[i].label));
  }
  return text + "</svg>\n";
}

std::string legend(const Bars& bars) {
  std::string text = "<ul class=\"kinds\">\n";
  for (std::size_t k = 0; k < bars.kinds.size(); ++k) {
    text += fmt::format(
        "<li><svg class=\"key\" aria-hidden=\"true\"><rect class=\"k{}\" width=\"100%\" "
        "height=\"100%\"/></svg> {}</li>\n",
        bars.kinds[k].colour, escape(bars.kinds[k].name));
  }
  return text + "</ul>\n";
}

}  // namespace page
