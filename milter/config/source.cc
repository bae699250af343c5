#include "milter/config/source.h"

#include <fmt/format.h>

#include <algorithm>

#include "milter/config/load.h"
#include "text/ascii.h"

namespace config {

std::string one_line(std::string text) {
  std::replace_if(text.begin(), text.end(), text::is_control, '?');
  return text;
}

[[noreturn]] void fail(const Source& source, std::string_view key, std::string_view reason) {
  // If the setting is not in the file, the line of its section still helps.
  auto found = source.lines.find(key);
  if (found == source.lines.end()) found = source.lines.find(key.substr(0, key.rfind('.')));
  const auto line = found == source.lines.end() ? "" : fmt::format(":{}", found->second);
  throw ConfigError(one_line(fmt::format("{}{}: {}: {}", source.file, line, key, reason)));
}

}  // namespace config
