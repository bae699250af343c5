// What may be meant by a line that is no TOML: mostly text without its quotes. Pure.
#pragma once

#include <string>
#include <string_view>

namespace config {

// For the end of the error about line `number` of `text` (from 1): "; text stands in quotes: write
// user = \"nobody\"". Empty where the line has another shape.
std::string write_instead(std::string_view text, unsigned number);

}  // namespace config
