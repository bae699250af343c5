// What one look at the running system came to: what was looked at, what is wrong, what mends it.
// Plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace doctor {

enum class State {
  Ok,
  Warn,  // works, and not as it should: labels or time are lost, no mail
  Fail,  // mail, labels or the server's good name are at stake
  Skip,  // could not be told, with the reason
};

// "ok", "warn", "FAIL", "skip".
std::string_view word(State state);

struct Finding {
  std::string check;  // the check's name in the table
  State state = State::Ok;
  std::string looked_at;
  std::string found;              // what is right, what is wrong, or why it could not be told
  std::vector<std::string> mend;  // lines for a shell, in their order
  std::string setting;            // a line for segmilter.toml, where that is what mends it
  bool operator==(const Finding&) const = default;
};

// In single quotes, unless it is a plain word: "a'b" is 'a'\''b'.
std::string shell_word(std::string_view text);

}  // namespace doctor
