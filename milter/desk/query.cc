#include "milter/desk/query.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "text/number.h"
#include "text/printable.h"

namespace desk {
namespace {

bool is_plain(char c) {
  constexpr std::string_view kOthers = "-_.~!,:/";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         kOthers.find(c) != kOthers.npos;
}

// A part of a form: "+" stands for a blank.
std::optional<std::string> form_decoded(std::string_view text) {
  std::string spaced(text);
  std::replace(spaced.begin(), spaced.end(), '+', ' ');
  return percent_decoded(spaced);
}

}  // namespace

std::optional<std::string> percent_decoded(std::string_view text) {
  std::string decoded;
  while (!text.empty()) {
    if (text.front() != '%') {
      decoded.push_back(text.front());
      text.remove_prefix(1);
      continue;
    }
    constexpr std::size_t kForm = 3;  // "%2f"
    if (text.size() < kForm) return std::nullopt;
    const auto byte = text::number<std::uint8_t>(text.substr(1, kForm - 1), 16);
    if (!byte) return std::nullopt;
    decoded.push_back(static_cast<char>(*byte));
    text.remove_prefix(kForm);
  }
  return decoded;
}

std::string percent_encoded(std::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (is_plain(c)) {
      encoded.push_back(c);
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::variant<history::Pairs, QueryError> parse_query(std::string_view text) {
  if (text.size() > kMostQuery) {
    return QueryError{fmt::format("the query has {} bytes, and at most {} are permitted",
                                  text.size(), kMostQuery)};
  }
  history::Pairs pairs;
  while (!text.empty()) {
    const auto item = text.substr(0, text.find('&'));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    if (item.empty()) continue;
    const auto equals = item.find('=');
    const auto key = form_decoded(item.substr(0, equals));
    const auto value =
        form_decoded(equals == item.npos ? std::string_view() : item.substr(equals + 1));
    if (!key || !value) {
      return QueryError{fmt::format("\"{}\" has a % without two hexadecimal digits after it",
                                    text::printable(item))};
    }
    if (!value->empty()) pairs.push_back({*key, *value});
  }
  return pairs;
}

std::string print_query(const history::Pairs& pairs) {
  std::string text;
  for (const auto& [key, value] : pairs) {
    text += fmt::format("{}{}={}", text.empty() ? '?' : '&', percent_encoded(key),
                        percent_encoded(value));
  }
  return text;
}

}  // namespace desk
