#include "classifier/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "classifier/claim_files.h"
#include "classifier/enum_names.h"
#include "classifier/smtp_words.h"
#include "text/ascii.h"

namespace classifier {
namespace {

constexpr auto kKinds = std::to_array<std::string_view>({"received", "mailer", "helo"});
constexpr std::string_view kBlanks = " \t\r";

// Requires: `text` is in lower case. The line ends of a folded field count as blanks.
bool contains(std::string_view value, std::string_view text) {
  const auto plain = [](char c) {
    return c == '\t' || c == '\r' || c == '\n' ? ' ' : text::lower(c);
  };
  return std::search(value.begin(), value.end(), text.begin(), text.end(),
                     [&](char x, char y) { return plain(x) == y; }) != value.end();
}

std::string_view take(std::string_view& text) {
  const auto begin = std::min(text.find_first_not_of(kBlanks), text.size());
  text.remove_prefix(begin);
  const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
  text.remove_prefix(word.size());
  return word;
}

// Reads the line into `row`. Returns an empty text, or the reason why the line is not a row.
std::string parse_row(std::string_view line, ClaimTable::Row& row) {
  const auto kind = find<ClaimTable::Kind>(kKinds, take(line));
  if (!kind) return fmt::format("should begin with {}", fmt::join(kKinds, ", "));
  row.kind = *kind;
  const auto open = line.find_first_not_of(kBlanks);
  const auto close = open == line.npos ? open : line.find('"', open + 1);
  if (close == line.npos || line[open] != '"' || close == open + 1) {
    return "the text to search for has to stand in double quotes";
  }
  for (const char c : line.substr(open + 1, close - open - 1)) row.text.push_back(text::lower(c));
  line.remove_prefix(close + 1);
  for (auto word = take(line); !word.empty(); word = take(line)) {
    if (!is_gait_name(word)) return "the name of a gait has 1 to 24 characters a-z, 0-9 or -";
    row.gaits.emplace_back(word);
  }
  return {};
}

}  // namespace

void Claims::header(std::string_view name, std::string_view value) {
  const std::string_view kept = value.substr(0, kLongest);
  if (received.empty() && text::same(name, "Received")) received = kept;
  if (mailer.empty() && (text::same(name, "X-Mailer") || text::same(name, "User-Agent"))) {
    mailer = kept;
  }
}

std::optional<GaitError> ClaimTable::add(std::string_view text) {
  if (text.size() > GaitBook::kMaxText) return GaitError{1, "the file is too large"};
  std::vector<Row> fresh;
  std::size_t number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto begin = line.find_first_not_of(kBlanks);
    if (begin == line.npos || line[begin] == '#') continue;
    Row row;
    std::string wrong = parse_row(line, row);
    if (!wrong.empty()) return GaitError{number, std::move(wrong)};
    fresh.push_back(std::move(row));
  }
  rows_.insert(rows_.end(), fresh.begin(), fresh.end());
  return std::nullopt;
}

const ClaimTable& ClaimTable::builtin() {
  static const ClaimTable table = [] {
    ClaimTable made;
    for (const std::string_view text : kClaimFiles) (void)made.add(text);
    return made;
  }();
  return table;
}

const ClaimTable::Row* ClaimTable::find(Kind kind, std::string_view value) const {
  if (value.empty()) return nullptr;
  const auto found = std::find_if(rows_.begin(), rows_.end(), [&](const Row& row) {
    return row.kind == kind && contains(value, row.text);
  });
  return found == rows_.end() ? nullptr : &*found;
}

// A server that passes a message on keeps its X-Mailer. So only the newest Received shows the
// sending program. A message without Received comes from the program itself.
const ClaimTable::Row* ClaimTable::claimed(const Claims& claims) const {
  if (!claims.received.empty()) return find(Kind::Received, claims.received);
  const Row* row = find(Kind::Mailer, claims.mailer);
  return row != nullptr ? row : find(Kind::Helo, claims.helo);
}

// Can the program have passed on a message of another one? A redirect or a mailing list leaves the
// server's Received field on top and claims nothing by it. Only a script writes such a field
// itself.
bool may_resend(const ClaimTable::Row& claim, const Gait& seen) {
  return claim.kind == ClaimTable::Kind::Received && seen.kind != GaitClass::Script &&
         seen.kind != GaitClass::Bot;
}

bool contradicts(const ClaimTable::Row& claim, const GaitBook& book, const Traits& traits) {
  const Gait* seen = book.match(traits).gait;
  if (seen == nullptr || seen->basis != Basis::Recorded || may_resend(claim, *seen)) return false;
  return !claim.gaits.empty() &&
         std::all_of(claim.gaits.begin(), claim.gaits.end(),
                     [&](const std::string& gait) { return book.excludes(gait, traits); });
}

}  // namespace classifier
