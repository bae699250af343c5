// The HTML page of a report: the plots, and each table. It has no script and loads nothing, so that
// it can be sent to others and opened anywhere.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "classifier/pattern.h"
#include "milter/history/print.h"
#include "milter/history/report.h"
#include "milter/page/bars.h"
#include "milter/page/page.h"
#include "milter/page/table.h"

namespace history {
namespace {

using page::escape;

std::string print_table(const Table& table) {
  std::vector<std::string> headings;
  for (const auto& column : table.columns) headings.push_back(escape(heading(column)));
  std::vector<page::Column> columns;
  for (std::size_t i = 0; i < headings.size(); ++i) {
    columns.push_back({headings[i], table.columns[i].is_number});
  }
  page::Table html(fmt::format("<h2 id=\"{}\">{}</h2>", table.key, escape(table.title)),
                   std::move(columns));
  for (const auto& row : table.rows) {
    std::vector<std::string> cells;
    for (const auto& value : row) cells.push_back(escape(print(value)));
    html.add(cells);
  }
  auto text = html.take();
  if (table.rows.empty()) text += "<p>None.</p>\n";
  if (!table.note.empty()) text += fmt::format("<p class=\"soft\">{}.</p>\n", escape(table.note));
  return text;
}

// Words that are drawn in one colour, from the bottom of a bar up. A word that is in no row has the
// colour of the last row.
struct Colour {
  std::vector<std::string_view> words;
  std::size_t colour;
};
using Colours = std::vector<Colour>;

// From good over bad to those that say nothing, which have the style sheet's last colour.
Colours pattern_colours() {
  Colours colours;
  for (std::size_t i = 0; i < page::kBarColours; ++i) {
    const auto colour = (2 * page::kBarColours - 2 - i) % page::kBarColours;
    Colour one{{}, colour};
    for (std::size_t k = 0; k < classifier::kPatterns; ++k) {
      const auto pattern = static_cast<classifier::Pattern>(k);
      if (page::colour_of(pattern) == colour) one.words.push_back(classifier::name(pattern));
    }
    colours.push_back(std::move(one));
  }
  return colours;
}

const Colours kActionColours = {
    {{"tempfail"}, 2}, {{"quarantine"}, 1}, {{"reject"}, 0}, {{"none"}, 7}};

std::size_t place_of(const Colours& colours, std::string_view word) {
  const auto found = std::find_if(colours.begin(), colours.end(), [word](const Colour& one) {
    return std::find(one.words.begin(), one.words.end(), word) != one.words.end();
  });
  return std::min<std::size_t>(static_cast<std::size_t>(found - colours.begin()),
                               colours.size() - 1);
}

page::Bars bars_by(const Counts& counts, std::string Labels::*member, const Colours& colours,
                   std::string key, std::string title) {
  page::Bars bars{.key = std::move(key),
                  .title = std::move(title),
                  .description = "messages by time",
                  .kinds = {},
                  .bars = {}};
  for (const auto& one : colours) {
    bars.kinds.push_back({fmt::format("{}", fmt::join(one.words, ", ")), one.colour});
  }
  for (const Cell& cell : counts.cells) {
    const auto label = print_time(cell.begin).substr(0, 16) + "Z";
    if (bars.bars.empty() || bars.bars.back().label != label) {
      bars.bars.push_back({label, std::vector<std::uint64_t>(colours.size())});
    }
    bars.bars.back().parts[place_of(colours, cell.labels.*member)] += cell.count.messages;
  }
  return bars;
}

std::string plot(const page::Bars& bars) {
  if (bars.bars.empty()) return {};
  return fmt::format("<h2>{}</h2>\n{}{}", escape(bars.title), draw(bars), legend(bars));
}

}  // namespace

std::string print_html(const Report& report, const Counts& counts) {
  std::string text = page::page_begin("segmilter report");
  text += fmt::format("<h1>{}</h1>\n", escape(report.title));
  for (const auto& note : report.notes) text += fmt::format("<p>{}</p>\n", escape(note));
  text +=
      plot(bars_by(counts, &Labels::pattern, pattern_colours(), "by-pattern", "Patterns by time"));
  text += plot(bars_by(counts, &Labels::would, kActionColours, "by-action",
                       "What the scores asked for, by time"));
  for (const auto& table : report.tables) text += print_table(table);
  return text.append(page::kPageEnd);
}

}  // namespace history
