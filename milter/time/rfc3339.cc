#include "milter/time/rfc3339.h"

#include <fmt/format.h>

#include <ctime>

namespace rfc3339 {
namespace {

constexpr std::uint64_t kNsPerSecond = 1'000'000'000;
constexpr std::uint64_t kNsPerMs = 1'000'000;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Takes exactly `digits` digits from the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return std::nullopt;
  int number = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (!is_digit(text[i])) return std::nullopt;
    number = number * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return number;
}

bool take(std::string_view& text, char c) {
  if (text.empty() || text.front() != c) return false;
  text.remove_prefix(1);
  return true;
}

// Takes the digits after the decimal point. Returns nanoseconds; digits beyond them are ignored.
std::uint64_t take_fraction(std::string_view& text) {
  std::uint64_t ns = 0;
  std::uint64_t unit = kNsPerSecond;
  for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1)) {
    unit /= 10;
    ns += unit * static_cast<unsigned>(text.front() - '0');
  }
  return ns;
}

// Takes the zone. Returns seconds east of UTC.
std::optional<int> take_zone(std::string_view& text) {
  if (take(text, 'Z')) return 0;
  const int sign = take(text, '+') ? 1 : take(text, '-') ? -1 : 0;
  const auto hours = take_number(text, 2);
  (void)take(text, ':');
  const auto minutes = take_number(text, 2);
  if (sign == 0 || !hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  return sign * (*hours * 60 + *minutes) * 60;
}

}  // namespace

std::string print_time(std::uint64_t ns) {
  const auto seconds = static_cast<std::time_t>(ns / kNsPerSecond);
  tm parts{};
  gmtime_r(&seconds, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                     parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                     ns % kNsPerSecond / kNsPerMs);
}

std::optional<std::uint64_t> parse_time(std::string_view text) {
  struct Part {
    std::size_t digits;
    int low;
    int high;
    char behind;
  };
  constexpr Part kParts[] = {{4, 1970, 9999, '-'}, {2, 1, 12, '-'}, {2, 1, 31, 'T'},
                             {2, 0, 23, ':'},      {2, 0, 59, ':'}, {2, 0, 60, '\0'}};
  int values[6];
  for (std::size_t i = 0; i < 6; ++i) {
    const auto value = take_number(text, kParts[i].digits);
    if (!value || *value < kParts[i].low || *value > kParts[i].high) return std::nullopt;
    values[i] = *value;
    if (kParts[i].behind != '\0' && !take(text, kParts[i].behind)) return std::nullopt;
  }
  const std::uint64_t fraction = take(text, '.') ? take_fraction(text) : 0;
  const auto zone = take_zone(text);
  if (!zone || !text.empty()) return std::nullopt;
  tm parts{};
  parts.tm_year = values[0] - 1900;
  parts.tm_mon = values[1] - 1;
  parts.tm_mday = values[2];
  parts.tm_hour = values[3];
  parts.tm_min = values[4];
  parts.tm_sec = values[5];
  constexpr std::time_t kLast = 18'446'744'072;  // the largest time in 64 bits of nanoseconds
  const std::time_t seconds = timegm(&parts) - *zone;
  if (seconds < 0 || seconds > kLast) return std::nullopt;
  return static_cast<std::uint64_t>(seconds) * kNsPerSecond + fraction;
}

}  // namespace rfc3339
