#include "milter/config/not_toml.h"

#include <fmt/format.h>

#include <algorithm>

#include "milter/config/value.h"
#include "text/lines.h"

namespace config {
namespace {

// Returns line `number` of a text, counted from 1.
std::string_view line_of(std::string_view text, unsigned number) {
  std::string_view line;
  for (; number > 0; --number) line = text::take_line(text);
  return text::trimmed(line);
}

// Adds quotes to a word. Numbers without a leading 0, true and false need none, and a word that
// already has quotes keeps one pair.
std::string in_quotes(std::string_view word) {
  const bool number = !word.empty() && word.find_first_not_of("0123456789") == word.npos &&
                      (word[0] != '0' || word.size() == 1);
  if (number || word == "true" || word == "false") return std::string(word);
  const auto end = word.find_last_not_of("\"'");
  const auto begin = word.find_first_not_of("\"'");
  if (begin == word.npos) return std::string(word);
  return quoted(word.substr(begin, end - begin + 1));
}

// Returns a suggestion such as "; text needs quotes: write user = \"nobody\"". Empty if the line is
// not of a known form.
std::string write_line_instead(std::string_view line) {
  const auto equals = line.find('=');
  if (equals == line.npos) {
    return line.starts_with('[') && !line.ends_with(']') ? fmt::format("; write {}]", line) : "";
  }
  const auto key = text::trimmed(line.substr(0, equals));
  auto value = line.substr(equals + 1);
  value = text::trimmed(value.substr(0, value.find('#')));
  if (value.empty() || value.starts_with('{') || value.find('\\') != value.npos) return "";
  std::string better;
  if (!value.starts_with('[')) {
    better = in_quotes(value);
  } else {
    if (!value.ends_with(']')) return "; an array ends with ]";
    value = value.substr(1, value.size() - 2);
    while (!value.empty()) {
      const auto comma = std::min(value.find(','), value.size());
      better += (better.empty() ? "" : ", ") + in_quotes(text::trimmed(value.substr(0, comma)));
      value.remove_prefix(std::min(comma + 1, value.size()));
    }
    better = "[" + better + "]";
  }
  return fmt::format("; text needs quotes: write {} = {}", key, better);
}

}  // namespace

std::string write_instead(std::string_view text, unsigned number) {
  return write_line_instead(line_of(text, number));
}

}  // namespace config
