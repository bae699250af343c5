// A selection of messages, as a command line or a URL gives it: one pair KEY=VALUE on each line.
// What is read can be printed and read again; what is not is an error of one line of ASCII.
#include <algorithm>
#include <variant>

#include "milter/history/row.h"
#include "milter/history/selection.h"
#include "tests/fuzz/fuzz_input.h"
#include "text/ascii.h"
#include "text/lines.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto cursor = history::parse_cursor(text)) {
    fuzz::require(history::parse_cursor(print(*cursor)) == cursor);
  }
  history::Pairs pairs;
  while (!text.empty() && pairs.size() < 64) {
    const auto line = text::take_line(text);
    const auto key = line.substr(0, line.find('='));
    pairs.push_back(
        {std::string(key), std::string(line.substr(std::min(line.size(), key.size() + 1)))});
  }
  const memory::Time now{std::chrono::milliseconds(1'795'780'800'000)};
  const auto read = history::parse(pairs, now);
  if (const auto* error = std::get_if<history::SelectionError>(&read)) {
    fuzz::require(!error->message.empty() && text::is_printable(error->message));
    return 0;
  }
  const auto& selection = std::get<history::Selection>(read);
  const auto again = history::parse(print(selection), now);
  const auto* same = std::get_if<history::Selection>(&again);
  fuzz::require(same != nullptr && *same == selection);
  for (const auto& key : history::word_keys()) {
    fuzz::require((selection.*key.values).any.size() <= history::Values::kMost);
  }
  return 0;
}
