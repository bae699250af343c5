#include "milter/history/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace history {
namespace {

constexpr std::string_view kColumns =
    "id, time, queue_id, address, network, port, helo, tls, score, confidence, size, block, mss, "
    "terms, syn, ja4, listener, pattern, writer, path, gait, gait_class, would, action, held, "
    "basis, via, state, reason, dictionary, trace, ";

// The columns of a row, one after the other, in the order of kColumns.
class Columns {
 public:
  explicit Columns(const memory::Statement& row) : row_(row) {}
  std::int64_t integer() { return row_.integer(at_++); }
  double real() { return row_.real(at_++); }
  std::string_view text() { return row_.text(at_++); }
  bool is_null() const { return row_.is_null(at_); }

 private:
  const memory::Statement& row_;
  int at_ = 0;
};

memory::HeloShape helo_of(std::int64_t bits) {
  return {.literal = (bits & 1) != 0, .dotless = (bits & 2) != 0, .confirmed = (bits & 4) != 0};
}

Row read_row(const memory::Statement& statement, const OpenFile& file, int source,
             memory::TracePacker* packer) {
  Columns from(statement);
  Row row;
  row.at.id = from.integer();
  row.at.time = Time(std::chrono::milliseconds(from.integer()));
  row.at.source = source;
  row.queue_id = from.text();
  row.address = from.text();
  row.network = from.text();
  const bool has_port = !from.is_null();
  const auto port = static_cast<std::uint16_t>(from.integer());
  if (has_port) row.port = port;
  row.helo = helo_of(from.integer());
  row.tls = from.integer() != 0;
  row.score = from.real();
  row.confidence = from.real();
  row.size = static_cast<std::uint64_t>(from.integer());
  row.block = static_cast<std::uint32_t>(from.integer());
  row.mss = static_cast<std::uint32_t>(from.integer());
  row.terms = from.text();
  row.syn = from.text();
  row.ja4 = from.text();
  for (auto* word :
       {&row.listener, &row.pattern, &row.writer, &row.path, &row.gait, &row.gait_class, &row.would,
        &row.action, &row.held, &row.basis, &row.via, &row.state, &row.reason}) {
    *word = file.word(from.integer());
  }
  const auto dictionary = static_cast<std::uint32_t>(from.integer());
  const auto trace = from.text();
  if (packer != nullptr) row.trace = packer->unpack(trace, dictionary).value_or("");
  row.weight = std::max<std::int64_t>(from.integer(), 1);
  return row;
}

std::int64_t ms(const Cursor& cursor) {
  return cursor.time.time_since_epoch().count();
}

// Rows of `file` that are newer than `after` in the order of Cursor.
std::string in_front(const Cursor& after, int source) {
  const auto time = ms(after);
  if (source < after.source) return fmt::format("time > {}", time);
  if (source > after.source) return fmt::format("time >= {}", time);
  return fmt::format("(time, id) > ({}, {})", time, after.id);
}

// Rows of `file` that come after `before` in the order of Cursor, newest first.
std::string behind(const Cursor& before, int source) {
  const auto time = ms(before);
  if (source > before.source) return fmt::format("time < {}", time);
  if (source < before.source) return fmt::format("time <= {}", time);
  return fmt::format("(time, id) < ({}, {})", time, before.id);
}

// True: the selected rows have a queue id or an address.
bool is_of_a_person(const Selection& selection) {
  const auto& client = selection.client;
  return (!selection.queue_id.empty() && !selection.queue_id.excluded) ||
         (client && !client->excluded && client->kind == Client::Kind::Address);
}

// Of a row in its file.
struct Place {
  std::int64_t time = 0;
  std::int64_t id = 0;
  auto operator<=>(const Place&) const = default;
};

// The first places in the order of a search.
class Best {
 public:
  explicit Best(const Search& search)
      : most_(std::max<std::size_t>(search.rows, 1)), oldest_first_(search.after.has_value()) {}

  bool is_in_front(std::int64_t time, std::int64_t other) const {
    return oldest_first_ ? time < other : other < time;
  }

  // The time at which a row of the range can be at best.
  std::int64_t front(const RowRange& range) const {
    return oldest_first_ ? range.oldest : range.newest;
  }

  void add(const Place& place) {
    places_.push_back(place);
    // Not more than this is kept, whatever a file has.
    if (places_.size() >= 2 * most_ + 1024) cut();
  }

  // False: the range, and each range behind it in the order of front(), has no row for us.
  bool wants(const RowRange& range) {
    if (places_.size() < most_) return true;
    cut();
    return !is_in_front(places_.back().time, front(range));
  }

  std::vector<Place> take() {
    if (places_.size() > most_) cut();
    return std::move(places_);
  }

 private:
  // The last one of those that stay is the last in the order.
  void cut() {
    const auto end = places_.begin() + static_cast<std::ptrdiff_t>(most_);
    std::nth_element(
        places_.begin(), end - 1, places_.end(),
        [this](const Place& a, const Place& b) { return oldest_first_ ? a < b : b < a; });
    places_.erase(end, places_.end());
  }

  const std::size_t most_;
  const bool oldest_first_;
  std::vector<Place> places_;
};

std::vector<Place> find_places(OpenFile& file, int source, const Search& search) {
  auto condition = file.condition(search.selection);
  search.client.add_to(condition);
  if (search.before) {
    condition.add(behind(*search.before, source));
    condition.add_to_group(fmt::format("oldest <= {}", ms(*search.before)));
  }
  if (search.after) {
    condition.add(in_front(*search.after, source));
    condition.add_to_group(fmt::format("newest >= {}", ms(*search.after)));
  }
  Best best(search);
  auto ranges = file.ranges(condition);
  std::stable_sort(ranges.begin(), ranges.end(), [&best](const RowRange& a, const RowRange& b) {
    return best.is_in_front(best.front(a), best.front(b));
  });
  // Older files have an index on the time, by which it would take much longer.
  auto rows = file.prepare(
      fmt::format("SELECT time, id{} FROM messages NOT INDEXED WHERE id >= ? AND id <= ? AND {}",
                  search.client.needs_rows() ? ", address, network" : "", condition.sql),
      condition, 2);
  for (const auto& range : ranges) {
    if (!best.wants(range)) break;
    rows.bind(1, range.first);
    rows.bind(2, range.last);
    while (rows.step()) {
      if (search.client.needs_rows() && !search.client.holds(rows.text(2), rows.text(3))) continue;
      best.add({rows.integer(0), rows.integer(1)});
    }
    rows.reset();
  }
  return best.take();
}

}  // namespace

void find_rows(OpenFile& file, int source, const Search& search, std::vector<Row>& rows) {
  // Rows may be forgotten meanwhile, and others may get their ids.
  const auto snapshot = file.snapshot();
  if (is_of_a_person(search.selection) && file.is_truncated()) return;
  const auto places = find_places(file, source, search);
  auto row = file.prepare(
      fmt::format("SELECT {}{} FROM messages WHERE id = ?", kColumns, file.weight()), {});
  for (const auto& place : places) {
    row.bind(1, place.id);
    if (row.step()) rows.push_back(read_row(row, file, source, search.packer));
    row.reset();
  }
}

}  // namespace history
