// The program's only log: stderr or syslog (facility mail), as text or as JSON lines.
//
// Text lines have the form "QUEUEID: key=value key=value". The queue id comes first, as in
// Postfix's log, so one grep finds all lines about a message. Message content is never logged. Safe
// from any thread after open().
//
// The namespace is not called `log`, because <cmath> declares a global function of that name.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"

namespace logging {

// Limits log lines about a growing counter to one a minute. Safe from any thread.
class RateLimit {
 public:
  static constexpr std::chrono::seconds kEvery{60};
  // Returns how much the counter has grown since the last line if the next line is due, and
  // otherwise 0.
  std::uint64_t more(std::uint64_t count, std::chrono::steady_clock::time_point now) {
    auto next = next_.load(std::memory_order_relaxed);
    if (count == told_.load(std::memory_order_relaxed) || now < next) return 0;
    // Another thread writes the line.
    if (!next_.compare_exchange_strong(next, now + kEvery)) return 0;
    return count - told_.exchange(count);
  }

 private:
  std::atomic<std::uint64_t> told_{0};
  std::atomic<std::chrono::steady_clock::time_point> next_{};
};

enum class Level { Error, Warning, Info, Debug };

// Each process calls this once, after fork. `process` ("proxy", "filter", …) begins every text line
// and is a field in JSON.
void open(const config::Log& settings, std::string_view process);

// True if a line of this level would be written. Lets callers skip building expensive facts.
bool enabled(Level level);

void write(Level level, std::string_view text);
inline void error(std::string_view text) {
  write(Level::Error, text);
}
inline void warning(std::string_view text) {
  write(Level::Warning, text);
}
inline void info(std::string_view text) {
  write(Level::Info, text);
}
inline void debug(std::string_view text) {
  write(Level::Debug, text);
}

// Writes one line with named facts. `text` names the event ("message", "session"). Values are
// escaped as the format requires. The text form is "QUEUEID: text key=value …"; without a queue id
// the line begins with `text`.
struct Fact {
  std::string_view key;
  std::string value;
  bool number = false;  // JSON: written without quotes
};
void event(Level level, std::string_view queue_id, std::string_view text,
           const std::vector<Fact>& facts);

}  // namespace logging
