#include "classifier/message_sizes.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <span>
#include <utility>

#include "classifier/stream.h"

namespace classifier {
namespace {

constexpr std::uint64_t kCrLf = 2;
// `.` and CRLF.
constexpr std::uint64_t kDotLine = 3;
// A message may have this many bytes more than are shown of it. If it ends its lines with LF alone,
// it may differ by one byte per line, and the mean line has at least kLeastLine bytes.
constexpr std::uint64_t kMostUnshown = 64;
constexpr std::uint64_t kLeastLine = 10;
// A bare LF is shown as CRLF. With an old milter protocol, it is not shown whether a blank follows
// the colon.
constexpr std::uint32_t kFieldMiss = 1;
// A policy service adds a few fields. cleanup(8) adds at most From, To, Date and Message-Id, each
// for the message and for a resent one.
constexpr std::size_t kMostTop = 8;
// One field in the middle, added by a header check, is as likely as two fields at an end.
constexpr std::size_t kLone = 2;
constexpr std::size_t kMostEnd = 8;

constexpr std::uint64_t kMailFrom = std::string_view("MAIL FROM:").size() + kCrLf;
constexpr std::uint64_t kRcptTo = std::string_view("RCPT TO:").size() + kCrLf;

using Sizes = std::span<const std::uint32_t>;

void add(std::vector<std::uint32_t>& to, std::size_t most, std::uint64_t size, bool& more) {
  if (to.size() < most) {
    to.push_back(to_u32(size));
  } else {
    more = true;
  }
}

std::uint64_t sum(Sizes sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), std::uint64_t{0});
}

// Can `shown` be what is left of `seen` after some sizes were removed?
bool is_part(Sizes shown, Sizes seen) {
  auto at = seen.begin();
  for (const std::uint32_t size : shown) {
    at = std::find_if(at, seen.end(),
                      [size](std::uint32_t s) { return s == size || s == 0 || size == 0; });
    if (at == seen.end()) return false;
    ++at;
  }
  return true;
}

// Postfix shows the envelope as it took it. Nothing changes it on the way.
bool envelope_contradicts(const EnvelopeSizes& shown, const EnvelopeSizes& seen) {
  if (seen.more || shown.more) return false;
  if (!shown.mail.empty() && !seen.mail.empty() && !is_part(shown.mail, seen.mail)) return true;
  return !shown.rcpt.empty() && !seen.rcpt.empty() && !is_part(shown.rcpt, seen.rcpt);
}

// Returns the largest number of sizes that both lists have in the same order.
std::size_t common(Sizes a, Sizes b) {
  std::array<std::size_t, ShownSizes::kMostFields + 1> row{};
  b = b.first(std::min(b.size(), row.size() - 1));
  for (const std::uint32_t size : a) {
    std::size_t diagonal = 0;
    for (std::size_t i = 0; i < b.size(); ++i) {
      const std::size_t above = row[i + 1];
      row[i + 1] = distance(size, b[i]) <= kFieldMiss ? diagonal + 1 : std::max(above, row[i]);
      diagonal = above;
    }
  }
  return row[b.size()];
}

// Any number of fields may have been added or removed. But it is not plausible that most of them
// were replaced.
bool header_contradicts(Sizes shown, Sizes seen) {
  if (shown.empty() || seen.empty()) return false;
  return common(shown, seen) * 2 < std::min(shown.size(), seen.size());
}

bool body_contradicts(const ShownSizes& shown, const SeenSizes& seen) {
  if (shown.text != 0) {
    const std::uint64_t all = shown.text + (seen.transfer == Transfer::Data ? kDotLine : 0);
    return distance(all, seen.size) > most_miss(all);
  }
  if (!shown.body) return false;
  if (seen.body) {
    const std::uint64_t body = *shown.body + (seen.transfer == Transfer::Data ? shown.dots : 0);
    return distance(body, *seen.body) > most_miss(body);
  }
  if (shown.header == 0) return false;
  // The end of the header was not read. What is shown contains the added fields, and each line end
  // as CRLF. So it is larger than what was sent.
  const std::uint64_t all = size_by(seen.transfer, shown);
  return seen.size > all || seen.size + shown.header + most_miss(all) < all;
}

struct Explained {
  Added added;
  std::size_t fields = SIZE_MAX;  // fields that were added, or that this change counts for
  bool twice = false;             // another explanation is as good
};

void consider(const Added& added, std::size_t fields, Explained& best) {
  if (fields > best.fields) return;
  if (fields < best.fields) {
    best = {added, fields};
  } else if (!(added == best.added)) {
    best.twice = true;
  }
}

}  // namespace

void EnvelopeSizes::add_mail(std::uint64_t arguments) {
  add(mail, kMostMail, arguments == 0 ? 0 : kMailFrom + arguments, more);
  total += kMailFrom + arguments;
}

void EnvelopeSizes::add_rcpt(std::uint64_t arguments) {
  add(rcpt, kMostRcpt, arguments == 0 ? 0 : kRcptTo + arguments, more);
  total += kRcptTo + arguments;
}

std::uint64_t argument_size(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  constexpr std::string_view kOdd = "\"\\()[]<>\v\f\r";
  const auto next_word = [&text, kBlanks] {
    text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
    const std::string_view word = text.substr(0, text.find_first_of(kBlanks));
    text.remove_prefix(word.size());
    return word;
  };
  const std::string_view path = next_word();
  if (path.size() < 2 || path.front() != '<' || path.back() != '>') return 0;
  const std::string_view address = path.substr(1, path.size() - 2);
  if (address.find_first_of(kOdd) != address.npos || address.find('\0') != address.npos) return 0;
  std::uint64_t size = path.size();
  for (auto word = next_word(); !word.empty(); word = next_word()) {
    if (word.find_first_of(kOdd) != word.npos || word.find('\0') != word.npos) return 0;
    size += 1 + word.size();
  }
  return size;
}

std::vector<std::uint32_t> field_sizes(const Landmarks& marks) {
  std::vector<std::uint32_t> sizes;
  std::uint32_t begin = 0;
  for (const HeaderField& field : marks.fields) {
    sizes.push_back(field.end - begin);
    begin = field.end;
  }
  return sizes;
}

std::uint64_t size_by_data(const ShownSizes& shown) {
  return size_by_bdat(shown) + shown.dots + kDotLine;
}

std::uint64_t size_by_bdat(const ShownSizes& shown) {
  return shown.header + *shown.body;
}

std::uint64_t size_by(Transfer transfer, const ShownSizes& shown) {
  return transfer == Transfer::Data ? size_by_data(shown) : size_by_bdat(shown);
}

std::uint64_t most_miss(std::uint64_t size) {
  return std::max(kMostUnshown, size / kLeastLine);
}

SeenSizes seen_sizes(const Trace& trace, EnvelopeSizes&& envelope) {
  const Landmarks& marks = trace.landmarks;
  SeenSizes seen{.envelope = std::move(envelope),
                 .fields = field_sizes(marks),
                 .size = trace.size,
                 .transfer = trace.transfer};
  const std::uint64_t front = std::uint64_t{marks.body_begin} + marks.terminator;
  if (marks.body_begin != 0 && front <= trace.size) seen.body = trace.size - front;
  return seen;
}

unsigned contradictions(const ShownSizes& shown, const SeenSizes& seen) {
  return unsigned{envelope_contradicts(shown.envelope, seen.envelope)} +
         unsigned{header_contradicts(shown.fields, seen.fields)} +
         unsigned{body_contradicts(shown, seen)};
}

std::optional<Added> explain(const ShownSizes& shown, std::uint64_t size, Transfer transfer) {
  const std::uint64_t all = size_by(transfer, shown);
  if (size == all) return Added{};
  if (size > all) return std::nullopt;
  const Sizes fields(shown.fields);
  // If there are more fields than the list keeps, the last ones are not known.
  const bool whole = sum(fields) + kCrLf == shown.header;
  Explained best;
  // A message without body or without header may have no blank line.
  const bool always_blank = *shown.body != 0 && !fields.empty();
  for (const bool blank : {true, false}) {
    if (!blank && always_blank) break;
    const std::uint64_t text = all - (blank ? 0 : kCrLf);
    if (size == text) consider({.blank = blank}, 0, best);
    if (size >= text) continue;
    const std::uint64_t added = text - size;
    std::uint64_t top = 0;
    for (std::size_t i = 0; i <= std::min(kMostTop, fields.size()); ++i) {
      std::uint64_t sizes = top;
      const std::size_t most = whole ? std::min(kMostEnd, fields.size() - i) : 0;
      for (std::size_t j = 0; j <= most; ++j) {
        if (sizes == added) consider({.top = i, .end = j, .blank = blank}, i + j, best);
        if (j < most) sizes += fields[fields.size() - 1 - j];
      }
      if (i < fields.size()) top += fields[i];
    }
    for (std::size_t i = 1; i + 1 < fields.size(); ++i) {
      if (fields[i] == added) consider({.lone = i, .blank = blank}, kLone, best);
    }
  }
  if (best.fields == SIZE_MAX || best.twice) return std::nullopt;
  return best.added;
}

}  // namespace classifier
