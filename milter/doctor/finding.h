// The result of one check: what was examined, what is wrong, and how to fix it. Plain values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace doctor {

enum class State {
  Ok,
  Warn,  // it works, but labels or time are lost; no mail is lost
  Fail,  // mail or labels are lost, or strangers can send mail through this server
  Skip,  // the check could not find out; the finding says why
};

// "ok", "warn", "FAIL", "skip".
std::string_view word(State state);

struct Finding {
  std::string check;  // the check's name in the table
  State state = State::Ok;
  std::string looked_at;
  std::string found;              // what is right, what is wrong, or why the check was skipped
  std::vector<std::string> mend;  // shell lines that fix it, in their order
  std::string setting;            // a line for segmilter.toml that fixes it, else empty
  bool operator==(const Finding&) const = default;
};

// A line for Finding::mend. It also starts a segmilter that does not run; `start` would leave one
// alone that runs with an older configuration.
inline constexpr const char* kRestart = "systemctl restart segmilter";

// Quotes `text` for a shell, in single quotes, unless it is a plain word: a'b becomes 'a'\''b'.
std::string shell_word(std::string_view text);

}  // namespace doctor
