// Rows and counts as text, CSV and JSON. Text that came from outside is escaped here, and nowhere
// else: it is ASCII on one line in text and CSV, and a JSON string in JSON. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "milter/history/explain.h"
#include "milter/history/row.h"

namespace history {

// A table: a head, and one line for each row. Each ends with a line feed.
std::string text_head();
std::string print_text(const Row& row);

// RFC 4180, but with line feeds alone: a head, and one line for each row.
std::string csv_head();
std::string print_csv(const Row& row);

// One object on one line. Users' scripts read them, so keys may be added but must not be changed.
std::string print_json(const Row& row);

// The same, with the reasons in words, the outcome and the header field of explain.h.
std::string print_json(const Row& row, const Explanation& explained, std::string_view header);

// A text as one field of CSV.
std::string csv_field(std::string_view text);

// "2026-11-27T12:00:00.000Z"
std::string print_time(memory::Time time);

}  // namespace history
