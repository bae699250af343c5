// Text of strangers as something that may be printed: it stays on its line, and no terminal obeys
// it. A terminal of 8 bits takes 0x9b for the beginning of an escape sequence, and that byte may
// stand inside of UTF-8, so only ASCII is left as it is. Pure.
#pragma once

#include <string>
#include <string_view>

#include "text/ascii.h"

namespace text {

// A blank or a visible character as it is, any other byte as "\x1b". A backslash is as it is too.
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
