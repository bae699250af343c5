// Words of SMTP: numbers, and what the parameters of MAIL say; and what is no text at all. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "classifier/trace.h"

namespace classifier {

// Whether bytes are no text: it has hardly any control characters, and what is encrypted has one
// among nine bytes. Those that text may have are not counted: line ends, tab, form feed, and what
// switches character sets (ISO 2022).
bool is_binary(std::string_view bytes);

// Sizes of more digits are refused: no message has them, and a count could overflow.
inline constexpr std::size_t kMaxSizeDigits = 18;

// 0 for what is no number of a sensible length.
std::uint64_t decimal(std::string_view text);

// "SIZE=5112", "BODY=8BITMIME", "RET=HDRS", in the order in which they stand. RFC 1870, 6152, 3461.
void note_mail_parameter(std::string_view word, Dialogue& dialogue);

}  // namespace classifier
