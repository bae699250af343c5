#include "milter/memory/rebuild.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "milter/log/log.h"
#include "milter/memory/day_file.h"
#include "milter/memory/retention.h"

namespace memory {
namespace {

constexpr std::int64_t kConfirmed = 4;  // in the column helo (day_file.cc)

constexpr std::string_view kRows =
    "SELECT id, time, address, network, score, terms, helo, weight, "
    "(SELECT word FROM words WHERE words.id = messages.gait) FROM messages WHERE id > ? "
    "ORDER BY id LIMIT ?";

// The sum of the reputation's terms in "bot-template:+3.9,network:+0.9": they are those whose name
// is a kind of the table.
double added_in(std::string_view terms) {
  double sum = 0;
  while (!terms.empty()) {
    const auto term = terms.substr(0, terms.find(','));
    terms.remove_prefix(std::min(terms.size(), term.size() + 1));
    const auto colon = term.find(':');
    if (colon == term.npos || !reputation::is_kind(term.substr(0, colon))) continue;
    auto number = term.substr(colon + 1);
    if (number.starts_with('+')) number.remove_prefix(1);
    double weight = 0;
    (void)std::from_chars(number.data(), number.data() + number.size(), weight);
    if (std::isfinite(weight)) sum += weight;
  }
  return sum;
}

// Another program may have written the file.
std::uint32_t weight_in(std::int64_t column) {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(column, 1, kMostWeight));
}

reputation::Lesson lesson_in(Statement& row) {
  const auto own = row.real(4) - added_in(row.text(5));
  const bool vouched = (row.integer(6) & kConfirmed) != 0;
  auto lesson = reputation::own_lesson(std::round(own * 1000) / 1000, vouched);
  lesson.messages = weight_in(row.integer(7));
  return lesson;
}

}  // namespace

// False: there is none of a day that was not found before.
bool Rebuild::find_files(Day today) {
  for (const auto& [day, use] : uses(folder_)) {
    if (day <= found_ || is_ahead(day, today)) continue;
    found_ = day;
    for (const auto& name : use.files) {
      if (name.ends_with(".db")) files_.push_back(folder_ + "/" + name);
    }
  }
  return !files_.empty();
}

// False: there is no file left.
bool Rebuild::open_next(Day today) {
  while (!files_.empty() || find_files(today)) {
    try {
      auto database = std::make_unique<Database>(files_.front(), Database::Mode::Read);
      auto version = database->prepare("PRAGMA user_version");
      (void)version.step();
      if (version.integer(0) != DayFile::kSchema) {
        throw std::runtime_error(fmt::format("has schema {}", version.integer(0)));
      }
      database_ = std::move(database);
      after_ = 0;
      return true;
    } catch (const std::exception& error) {
      logging::warning(
          fmt::format("{}: {}; reputations are rebuilt without it", files_.front(), error.what()));
      files_.pop_front();
    }
  }
  return false;
}

bool Rebuild::step(unsigned rows, Day today, const std::function<void(const PastMessage&)>& take) {
  if (!database_ && !open_next(today)) return false;
  unsigned found = 0;
  try {
    auto row = database_->prepare(kRows);
    row.bind(1, after_);
    row.bind(2, std::int64_t{rows});
    for (; row.step(); ++found) {
      after_ = row.integer(0);
      take({.time = Time(std::chrono::milliseconds(row.integer(1))),
            .address = std::string(row.text(2)),
            .network = std::string(row.text(3)),
            .gait = std::string(row.text(8)),
            .lesson = lesson_in(row)});
    }
  } catch (const DatabaseError& error) {
    logging::warning(
        fmt::format("{}; reputations are rebuilt without the rest of it", error.what()));
    found = 0;
  }
  if (found == rows) return true;
  database_.reset();
  files_.pop_front();
  return !files_.empty() || find_files(today);
}

}  // namespace memory
