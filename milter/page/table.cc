#include "milter/page/table.h"

#include <fmt/format.h>

#include <utility>

namespace page {

// The roles are repeated, because the style sheet takes them away on a narrow screen (display:
// block).
Table::Table(std::string_view caption, std::vector<Column> columns) : columns_(std::move(columns)) {
  html_ = fmt::format(
      "<table class=\"wraps\" role=\"table\"><caption>{}</caption>\n<thead role=\"rowgroup\"><tr "
      "role=\"row\">",
      caption);
  for (const auto& [name, is_number] : columns_) {
    html_ += fmt::format("<th role=\"columnheader\" scope=\"col\"{}>{}</th>",
                         is_number ? " class=\"number\"" : "", name);
  }
  html_ += "</tr></thead><tbody role=\"rowgroup\">\n";
}

void Table::add(const std::vector<std::string>& cells) {
  html_ +=
      fmt::format("<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}</th>", cells.front());
  for (std::size_t i = 1; i < cells.size(); ++i) {
    html_ += fmt::format("<td role=\"cell\" data-name=\"{}\"{}>{}</td>", columns_[i].name,
                         columns_[i].is_number ? " class=\"number\"" : "", cells[i]);
  }
  html_ += "</tr>\n";
}

std::string Table::take() {
  return std::move(html_) + "</tbody></table>\n";
}

}  // namespace page
