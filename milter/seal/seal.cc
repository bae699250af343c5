#include "milter/seal/seal.h"

#include <algorithm>

#include "text/number.h"

namespace seal {
namespace {

constexpr std::string_view kItem = "seal=";
constexpr std::size_t kHexDigits = 64;

std::string_view text_of(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

Digest hmac_of(std::string_view header, const Digest& identity, const Key& key, Seconds time) {
  std::string text = "segmilter seal 1\n" + key.id + "\n" + std::to_string(time.count()) + "\n";
  text.append(text_of(identity)).append(header);
  return hmac_sha256(key.secret, text);
}

std::string hex(const Digest& digest) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (const auto byte : digest) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

// Removes white space. Returns nullopt if a character is neither white space nor printable ASCII,
// because segmilter never writes such a character.
std::optional<std::string> without_blanks(std::string_view value) {
  std::string text;
  text.reserve(value.size());
  for (const char c : value) {
    if (is_blank(c)) continue;
    if (c <= ' ' || c > '~') return std::nullopt;
    text.push_back(c);
  }
  return text;
}

bool read_digest(std::string_view text, Digest& digest) {
  if (text.size() != kHexDigits) return false;
  for (std::size_t i = 0; i < digest.size(); ++i) {
    const auto byte = text::number<std::uint8_t>(text.substr(2 * i, 2), 16);
    if (!byte) return false;
    digest[i] = *byte;
  }
  return true;
}

// Reads "2026a,1764108000,9f86…".
bool read_item(std::string_view text, Sealed& sealed) {
  const auto first = text.find(',');
  const auto second = text.find(',', first == text.npos ? first : first + 1);
  if (second == text.npos) return false;
  sealed.key = text.substr(0, first);
  const auto digits = text.substr(first + 1, second - first - 1);
  // Only the spelling that make() writes is accepted: another spelling of the same number would be
  // another text under the HMAC. Twelve digits last until the year 33658.
  if (digits.empty() || digits.size() > 12 || digits.front() == '-' || digits.front() == '0') {
    return false;
  }
  const auto time = text::number<Seconds::rep>(digits);
  if (!time) return false;
  sealed.time = Seconds(*time);
  return read_digest(text.substr(second + 1), sealed.hmac);
}

}  // namespace

std::string_view name(Result result) {
  switch (result) {
    case Result::None:
      return "none";
    case Result::Good:
      return "good";
    case Result::Unsigned:
      return "unsigned";
    case Result::Malformed:
      return "malformed";
    case Result::UnknownKey:
      return "unknown-key";
    case Result::Wrong:
      return "wrong";
    case Result::TooOld:
      return "too-old";
    case Result::Ahead:
      return "ahead";
  }
  return "none";
}

std::optional<Sealed> parse(std::string_view value, Result& reason) {
  reason = Result::Malformed;
  if (value.size() > kMostValue) return std::nullopt;
  const auto text = without_blanks(value);
  if (!text) return std::nullopt;
  bool found = false;
  Sealed sealed;
  std::string_view rest = *text;
  for (bool first = true, more = true; more; first = false) {
    const auto end = rest.find(';');
    const auto item = rest.substr(0, end);
    more = end != rest.npos;
    if (more) rest.remove_prefix(end + 1);
    if (!item.starts_with(kItem)) {
      if (!first) sealed.header.push_back(';');
      sealed.header.append(item);
      continue;
    }
    // segmilter writes one seal only, and never as the first item, which is the host name.
    if (found || first) return std::nullopt;
    if (!read_item(item.substr(kItem.size()), sealed)) return std::nullopt;
    found = true;
  }
  if (!found) {
    reason = Result::Unsigned;
    return std::nullopt;
  }
  return sealed;
}

std::string make(std::string_view header, const Digest& identity, const Key& key, Seconds now) {
  return std::string(kItem) + key.id + "," + std::to_string(now.count()) + "," +
         hex(hmac_of(header, identity, key, now));
}

Result check(std::string_view value, const Digest& identity, const std::vector<Key>& keys,
             Seconds now, Seconds max_age) {
  Result reason{};
  const auto sealed = parse(value, reason);
  if (!sealed) return reason;
  const auto key =
      std::find_if(keys.begin(), keys.end(), [&](const Key& one) { return one.id == sealed->key; });
  if (key == keys.end()) return Result::UnknownKey;
  if (!same(hmac_of(sealed->header, identity, *key, sealed->time), sealed->hmac)) {
    return Result::Wrong;
  }
  if (sealed->time > now + kAhead) return Result::Ahead;
  if (now - sealed->time > max_age) return Result::TooOld;
  return Result::Good;
}

}  // namespace seal
