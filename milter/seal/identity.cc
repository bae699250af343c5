#include "milter/seal/identity.h"

#include <algorithm>
#include <array>

#include "text/ascii.h"

namespace seal {
namespace {

constexpr std::array<std::string_view, 4> kFields = {"message-id", "from", "date", "subject"};

// Line ends count as blanks, because a relay may fold a field differently.
bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

bool counts(std::string_view name) {
  return std::any_of(kFields.begin(), kFields.end(), [name](std::string_view field) {
    return std::equal(name.begin(), name.end(), field.begin(), field.end(),
                      [](char a, char b) { return text::lower(a) == b; });
  });
}

}  // namespace

std::string relaxed(std::string_view name, std::string_view value) {
  std::string text;
  for (const char c : name) {
    if (!is_blank(c)) text.push_back(text::lower(c));
  }
  text.push_back(':');
  bool blank = false;
  const auto begin = text.size();
  for (const char c : value) {
    if (is_blank(c)) {
      blank = true;
      continue;
    }
    if (blank && text.size() != begin) text.push_back(' ');
    blank = false;
    text.push_back(c);
  }
  return text + "\r\n";
}

void Identity::field(std::string_view name, std::string_view value) {
  if (!counts(name)) return;
  chain_ = hmac_sha256({reinterpret_cast<const char*>(chain_.data()), chain_.size()},
                       relaxed(name, value));
}

}  // namespace seal
