// A configuration's text while it is read, and errors that point into it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace config {

// Where in a document the keys stand, for messages.
struct Source {
  std::string file;
  std::map<std::string, unsigned, std::less<>> lines;  // "proxy" and "proxy.listen" → line
};

// Values that are quoted in a reason come from the file: a line break in one must not make two lines
// of a message.
std::string one_line(std::string text);

// Throws ConfigError "file:line: key: reason", with the line of the key, or else of its section.
[[noreturn]] void fail(const Source& source, std::string_view key, std::string_view reason);

}  // namespace config
