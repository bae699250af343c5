// Makes untrusted text safe to print: it stays on one line and cannot control a terminal. An 8-bit
// terminal takes the byte 0x9b for the start of an escape sequence, and that byte can occur inside
// valid UTF-8. So only ASCII is printed unchanged. Pure.
#pragma once

#include <string>
#include <string_view>

#include "text/ascii.h"

namespace text {

// Appends a blank or a visible character unchanged, and any other byte as "\x1b". A backslash is
// also left unchanged.
inline void append_printable(std::string& out, char c) {
  constexpr char kHex[] = "0123456789abcdef";
  if (c == ' ' || is_visible(c)) {
    out.push_back(c);
    return;
  }
  const auto byte = static_cast<unsigned char>(c);
  out.append("\\x").append(1, kHex[byte >> 4]).append(1, kHex[byte & 0xf]);
}

inline std::string printable(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) append_printable(out, c);
  return out;
}

}  // namespace text
