#include "milter/filter/edits.h"

#include <algorithm>

#include "classifier/message_sizes.h"
#include "milter/filter/header.h"

namespace filter {

void OwnHeaders::field(std::string_view name, std::string_view value) {
  lines_ += 1 + static_cast<std::uint64_t>(std::count(value.begin(), value.end(), '\n')) +
            value.size() / kBytesALine;
  if (!is_own_header(name)) return;
  ++count_;
  work_ += lines_;
}

unsigned fields_in_front(const classifier::Landmarks& shown, const classifier::Landmarks& sent) {
  if (sent.fields.empty() || sent.fields.size() > shown.fields.size()) return 0;
  const auto all = classifier::field_sizes(shown);
  const auto own = classifier::field_sizes(sent);
  // Only the first fields of a long header are known, both of the shown and of the sent ones.
  const bool cut = shown.fields.size() == classifier::Landmarks::kMaxFields;
  const std::size_t most = cut ? all.size() - 1 : all.size() - own.size();
  for (std::size_t front = 0; front <= most; ++front) {
    const std::size_t compared = std::min(own.size(), all.size() - front);
    if (std::equal(own.begin(), own.begin() + static_cast<std::ptrdiff_t>(compared),
                   all.begin() + static_cast<std::ptrdiff_t>(front))) {
      return static_cast<unsigned>(front);
    }
  }
  return 0;
}

}  // namespace filter
