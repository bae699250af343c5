#include "milter/offline/truth.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "text/number.h"

namespace offline {
namespace {

using classifier::path_named;
using classifier::pattern_named;
using classifier::writer_named;
using std::string_view;

struct Place {
  const std::string& file;
  std::size_t line;
};

[[noreturn]] void fail(const Place& at, string_view column, string_view reason) {
  if (column.empty()) throw TruthError(fmt::format("{}:{}: {}", at.file, at.line, reason));
  throw TruthError(fmt::format("{}:{}: {}: {}", at.file, at.line, column, reason));
}

std::vector<string_view> split(string_view text, char separator) {
  std::vector<string_view> parts;
  for (;;) {
    const auto end = text.find(separator);
    parts.push_back(text.substr(0, end));
    if (end == string_view::npos) return parts;
    text.remove_prefix(end + 1);
  }
}

template <typename Number>
Number count(const Place& at, string_view column, string_view text) {
  const auto value = text::number<Number>(text);
  if (!value || *value == 0) {
    fail(at, column, fmt::format("\"{}\" is not a whole number of at least 1", text));
  }
  return *value;
}

std::uint32_t block_size(const Place& at, string_view column, string_view text) {
  return text.empty() ? 0 : count<std::uint32_t>(at, column, text);
}

bool yes_or_no(const Place& at, string_view column, string_view text) {
  if (text != "y" && text != "n") fail(at, column, fmt::format("\"{}\" is neither y nor n", text));
  return text == "y";
}

std::string word(const Place& at, string_view column, string_view text) {
  if (text.empty()) fail(at, column, "the value is empty");
  return std::string(text);
}

// The table may come from an untrusted source, so it must not name files outside of the recordings'
// folder.
std::string file_name(const Place& at, string_view column, string_view text) {
  const std::filesystem::path path(word(at, column, text));
  if (path.is_absolute() || std::find(path.begin(), path.end(), "..") != path.end()) {
    fail(at, column, fmt::format("\"{}\" is not a path below the folder of the recordings", text));
  }
  return path.string();
}

template <typename Label>
std::vector<Label> labels(const Place& at, string_view column, string_view text,
                          std::optional<Label> (*named)(string_view)) {
  if (text == "*") return {};
  std::vector<Label> accepted;
  for (const string_view part : split(text, '|')) {
    const auto label = named(part);
    if (!label) fail(at, column, fmt::format("\"{}\" is not a known {}", part, column));
    accepted.push_back(*label);
  }
  return accepted;
}

using Set = void (*)(TruthRow&, const Place&, string_view column, string_view text);
struct Column {
  string_view name;
  Set set;
};

// clang-format off
constexpr std::array<Column, 14> kColumns{{
    {"file", [](auto& r, auto& p, auto c, auto t) { r.file = file_name(p, c, t); }},
    {"message", [](auto& r, auto& p, auto c, auto t) { r.message = count<std::uint32_t>(p, c, t); }},
    {"sender", [](auto& r, auto& p, auto c, auto t) { r.sender = word(p, c, t); }},
    {"class", [](auto& r, auto& p, auto c, auto t) { r.sender_class = word(p, c, t); }},
    {"link", [](auto& r, auto& p, auto c, auto t) { r.link = word(p, c, t); }},
    {"kind", [](auto& r, auto& p, auto c, auto t) { r.kind = word(p, c, t); }},
    {"tls", [](auto& r, auto& p, auto c, auto t) { r.tls = yes_or_no(p, c, t); }},
    {"bdat", [](auto& r, auto& p, auto c, auto t) { r.bdat = yes_or_no(p, c, t); }},
    {"segments", [](auto& r, auto& p, auto c, auto t) { r.segments = count<std::uint32_t>(p, c, t); }},
    {"bytes", [](auto& r, auto& p, auto c, auto t) { r.bytes = count<std::uint64_t>(p, c, t); }},
    {"writer", [](auto& r, auto& p, auto c, auto t) { r.writers = labels(p, c, t, &writer_named); }},
    {"path", [](auto& r, auto& p, auto c, auto t) { r.paths = labels(p, c, t, &path_named); }},
    {"pattern", [](auto& r, auto& p, auto c, auto t) { r.patterns = labels(p, c, t, &pattern_named); }},
    {"block", [](auto& r, auto& p, auto c, auto t) { r.block = block_size(p, c, t); }},
}};
// clang-format on

// The columns of the file. A column that the program does not know is nullptr.
std::vector<const Column*> read_header(const Place& at, string_view line) {
  std::vector<const Column*> columns;
  for (const string_view name : split(line, '\t')) {
    const auto* found = std::find_if(kColumns.begin(), kColumns.end(),
                                     [&](const Column& column) { return column.name == name; });
    const auto* column = found == kColumns.end() ? nullptr : found;
    if (column != nullptr && std::find(columns.begin(), columns.end(), column) != columns.end()) {
      fail(at, name, "the column occurs twice");
    }
    columns.push_back(column);
  }
  for (const Column& column : kColumns) {
    if (std::find(columns.begin(), columns.end(), &column) == columns.end()) {
      fail(at, column.name, "the column is missing");
    }
  }
  return columns;
}

TruthRow read_row(const Place& at, string_view line, const std::vector<const Column*>& columns) {
  const auto values = split(line, '\t');
  if (values.size() != columns.size()) {
    fail(at, "",
         fmt::format("the row has {} values for {} columns", values.size(), columns.size()));
  }
  TruthRow row;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (columns[i] != nullptr) columns[i]->set(row, at, columns[i]->name, values[i]);
  }
  return row;
}

}  // namespace

std::vector<TruthRow> read_truth(std::istream& in, const std::string& name) {
  std::vector<TruthRow> rows;
  std::vector<const Column*> columns;
  std::set<std::pair<std::string, std::uint32_t>> seen;
  Place at{name, 0};
  for (std::string line; std::getline(in, line);) {
    ++at.line;
    if (at.line == 1) {
      columns = read_header(at, line);
      continue;
    }
    TruthRow row = read_row(at, line, columns);
    if (!seen.emplace(row.file, row.message).second) {
      fail(at, "message", fmt::format("message {} of {} has a row already", row.message, row.file));
    }
    rows.push_back(std::move(row));
  }
  if (rows.empty()) {
    fail({name, std::max<std::size_t>(at.line, 1)}, "", "the table has no message");
  }
  return rows;
}

}  // namespace offline
