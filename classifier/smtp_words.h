// Words of SMTP: numbers, the parameters of MAIL, and the bytes that are not text. Pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "classifier/trace.h"

namespace classifier {

// Are these bytes not text? Text has hardly any control characters; of encrypted bytes one in nine
// is one. Control characters that text may have do not count: line ends, tab, form feed, and those
// that switch character sets (ISO 2022).
bool is_binary(std::string_view bytes);

// A size with more digits is refused. No message is so large, and a count could overflow.
inline constexpr std::size_t kMaxSizeDigits = 18;

// Returns 0 if the text is not a number of at most kMaxSizeDigits digits.
std::uint64_t decimal(std::string_view text);

// Takes one parameter of MAIL: "SIZE=5112", "BODY=8BITMIME", "RET=HDRS". Requires: they come in
// their order in the command. RFC 1870, 6152, 3461.
void note_mail_parameter(std::string_view word, Dialogue& dialogue);

}  // namespace classifier
