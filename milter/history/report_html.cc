// The HTML page of a report: the plots, and each table. It has no script and loads nothing, so that
// it can be sent to others and opened anywhere.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "milter/history/print.h"
#include "milter/history/report.h"
#include "milter/page/bars.h"
#include "milter/page/page.h"

namespace history {
namespace {

using page::escape;

std::string text_of(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return escape(*text);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return fmt::format("{}", *number);
  return fmt::format("{:.1f} %", 100 * std::get<double>(value));
}

std::string with_blanks(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string print_table(const Table& table) {
  std::string text = fmt::format(
      "<h2 id=\"{}\">{}</h2>\n<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-labelledby=\"{}\"><table><thead><tr>",
      table.key, escape(table.title), table.key);
  for (const auto& [name, is_number] : table.columns) {
    text += fmt::format("<th scope=\"col\"{}>{}</th>", is_number ? " class=\"number\"" : "",
                        escape(with_blanks(name)));
  }
  text += "</tr></thead><tbody>\n";
  for (const auto& row : table.rows) {
    text += "<tr>";
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", text_of(row[i]))
                     : fmt::format("<td{}>{}</td>",
                                   table.columns[i].is_number ? " class=\"number\"" : "",
                                   text_of(row[i]));
    }
    text += "</tr>\n";
  }
  text += "</tbody></table></div>\n";
  if (table.rows.empty()) text += "<p>None.</p>\n";
  if (!table.note.empty()) text += fmt::format("<p class=\"soft\">{}.</p>\n", escape(table.note));
  return text;
}

// The counts of each bin by a label; the labels with most messages come first, and all that have no
// colour of their own are one kind.
page::Bars bars_by(const Counts& counts, std::string Labels::*member, std::string title) {
  page::Bars bars{
      .title = std::move(title), .description = "messages by time", .kinds = {}, .bars = {}};
  std::map<std::string_view, std::size_t> places;
  const auto kinds = counts.by(member);
  for (const auto& [word, count] : kinds) {
    const auto place = std::min(places.size(), page::kBarColours - 1);
    places.emplace(word, place);
    const bool is_rest = place == page::kBarColours - 1 && kinds.size() > page::kBarColours;
    if (place == bars.kinds.size()) {
      bars.kinds.push_back(is_rest ? "others" : word.empty() ? "-" : word);
    }
  }
  for (const Cell& cell : counts.cells) {
    const auto label = print_time(cell.begin).substr(0, 16) + "Z";
    if (bars.bars.empty() || bars.bars.back().label != label) {
      bars.bars.push_back({label, std::vector<std::uint64_t>(bars.kinds.size())});
    }
    bars.bars.back().parts[places.at(cell.labels.*member)] += cell.count.messages;
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
  text += plot(bars_by(counts, &Labels::pattern, "Patterns by time"));
  text += plot(bars_by(counts, &Labels::would, "What was asked for, by time"));
  for (const auto& table : report.tables) text += print_table(table);
  return text.append(page::kPageEnd);
}

}  // namespace history
