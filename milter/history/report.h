// A report of many messages as a list of tables: how often each pattern occurs, by hour, program,
// class, network and action; what mode `enforce` would have refused; what was not observed, and
// why. It says how it was counted. The tables are printed as text, as an HTML page with plots, or
// as JSON; CSV has the counts themselves. Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "milter/history/counts.h"
#include "milter/history/selection.h"

namespace history {

struct Column {
  std::string name;  // a key in JSON; in text and HTML with blanks for '_'
  bool is_number = false;
};

// Shares are between 0 and 1.
using Value = std::variant<std::string, std::uint64_t, double>;

std::string print(const Value& value);      // as a person reads it: a share as "27.6 %"
std::string heading(const Column& column);  // its name with blanks for '_'

struct Table {
  std::string key;    // in JSON, and the id in HTML
  std::string title;  // a sentence without a full stop
  std::vector<Column> columns;
  std::vector<std::vector<Value>> rows;
  std::string note;  // what was left out; empty: nothing
};

struct Report {
  std::string title;               // "Messages from … to …"
  std::vector<std::string> notes;  // how it was counted: sentences
  std::vector<Table> tables;
};

Report make_report(const Counts& counts, const Selection& selection);

std::string print_text(const Report& report);
std::string print_json(const Report& report, const Counts& counts);
std::string print_html(const Report& report, const Counts& counts);  // report_html.cc
// A line for each cell: begin, labels, messages, rows.
std::string print_csv(const Counts& counts);

}  // namespace history
