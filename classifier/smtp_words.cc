#include "classifier/smtp_words.h"

#include <algorithm>

#include "text/ascii.h"

namespace classifier {

bool is_binary(std::string_view bytes) {
  constexpr std::size_t kLook = 256;
  constexpr std::ptrdiff_t kMost = 1;
  constexpr std::string_view kOfText = "\t\r\n\f\x0e\x0f\x1b";
  const std::string_view some = bytes.substr(0, kLook);
  return std::count_if(some.begin(), some.end(), [&](char c) {
           return c >= 0 && c < ' ' && kOfText.find(c) == kOfText.npos;
         }) > kMost;
}

std::uint64_t decimal(std::string_view text) {
  if (text.size() > kMaxSizeDigits) return 0;
  std::uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return 0;
    value = value * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return value;
}

void note_mail_parameter(std::string_view word, Dialogue& dialogue) {
  const std::size_t equals = word.find('=');
  if (equals == word.npos) return;
  const std::string_view key = word.substr(0, equals);
  const std::string_view value = word.substr(equals + 1);
  if (text::same(key, "SIZE")) {
    dialogue.declared = decimal(value);
  } else if (text::same(key, "BODY")) {
    dialogue.seven_bit = text::same(value, "7BIT");
    dialogue.eight_bit = !dialogue.seven_bit;
    dialogue.body_first = dialogue.declared == 0;
  } else if (text::same(key, "RET") || text::same(key, "ENVID") || text::same(key, "NOTIFY") ||
             text::same(key, "ORCPT")) {
    dialogue.dsn = true;
  }
}

}  // namespace classifier
