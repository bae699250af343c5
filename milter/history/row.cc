#include "milter/history/row.h"

#include <fmt/format.h>

#include <algorithm>

#include "milter/memory/sighting_bytes.h"
#include "text/number.h"

namespace history {

std::string print(const Cursor& cursor) {
  return fmt::format("{}-{}-{}", cursor.time.time_since_epoch().count(), cursor.source, cursor.id);
}

std::optional<Cursor> parse_cursor(std::string_view text) {
  const auto take = [&text]() {
    const auto word = text.substr(0, text.find('-'));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    return word;
  };
  const auto time = text::number<std::uint64_t>(take());
  const auto source = text::number<std::uint16_t>(take());
  const auto id = text::number<std::uint64_t>(text);
  constexpr auto kLatest = static_cast<std::uint64_t>(memory::kLatestTime);
  constexpr auto kMost = static_cast<std::uint64_t>(INT64_MAX);
  if (!time || !source || !id || *time > kLatest || *id > kMost) return std::nullopt;
  return Cursor{memory::Time(std::chrono::milliseconds(*time)), *source,
                static_cast<std::int64_t>(*id)};
}

}  // namespace history
