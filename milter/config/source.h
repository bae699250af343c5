// The source of a configuration while it is read, and errors that point to a line of it.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace config {

// The line of each key in the document, for messages.
struct Source {
  std::string file;
  std::map<std::string, unsigned, std::less<>> lines;  // "proxy" and "proxy.listen" → line
};

// Replaces control characters. A reason quotes values from the file, and a line break in a value
// must not split the message into two lines.
std::string one_line(std::string text);

// Throws ConfigError "file:line: key: reason". The line is that of the key, or of its section if
// the key is not in the file.
[[noreturn]] void fail(const Source& source, std::string_view key, std::string_view reason);

}  // namespace config
