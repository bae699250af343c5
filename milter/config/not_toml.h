// Suggests a correction for a line that is not TOML. Most often the quotes around a text are
// missing. Pure.
#pragma once

#include <string>
#include <string_view>

namespace config {

// Returns a text to append to the error about line `number` (from 1) of `text`: "; text needs
// quotes: write user = \"nobody\"". Empty if there is no suggestion for this line.
std::string write_instead(std::string_view text, unsigned number);

}  // namespace config
