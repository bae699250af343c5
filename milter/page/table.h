// A table of an HTML page. On a narrow screen each row becomes a list of "name: value", so that no
// table has to be scrolled sideways. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace page {

struct Column {
  std::string_view name;
  bool is_number = false;  // at the right edge
};

class Table {
 public:
  // All texts are HTML. The first cell of a row is its heading.
  Table(std::string_view caption, std::vector<Column> columns);
  // Requires: as many cells as columns.
  void add(const std::vector<std::string>& cells);
  std::string take();

 private:
  const std::vector<Column> columns_;
  std::string html_;
};

}  // namespace page
