#include "milter/memory/day.h"

#include <fmt/format.h>

#include <algorithm>

namespace memory {
namespace {

constexpr std::string_view kBefore = "messages-";
constexpr std::size_t kDigits = 8;

int number(std::string_view digits) {
  int value = 0;
  for (const char c : digits) value = 10 * value + (c - '0');
  return value;
}

}  // namespace

std::string print(Day day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}{:02}{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

std::optional<Day> day_in(std::string_view file_name) {
  if (!file_name.starts_with(kBefore)) return std::nullopt;
  const auto date = file_name.substr(kBefore.size(), kDigits);
  const auto rest = file_name.substr(std::min(file_name.size(), kBefore.size() + kDigits));
  if (date.size() != kDigits || rest.find(".db") == rest.npos) return std::nullopt;
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (!std::all_of(date.begin(), date.end(), is_digit)) return std::nullopt;
  const std::chrono::year_month_day day(
      std::chrono::year(number(date.substr(0, 4))),
      std::chrono::month(static_cast<unsigned>(number(date.substr(4, 2)))),
      std::chrono::day(static_cast<unsigned>(number(date.substr(6, 2)))));
  if (!day.ok()) return std::nullopt;
  return Day(day);
}

}  // namespace memory
