// The program's one log: stderr or syslog (facility mail), text or JSON lines.
// Text: "QUEUEID: key=value key=value"; the queue id first, as Postfix does, so that one grep finds
// all of a message. Never message content. Safe from any thread after open().
// The namespace is not `log`: <cmath> declares a function of that name in the global namespace.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"

namespace logging {

// A line a minute about a counter that grows. Safe from any thread.
class RateLimit {
 public:
  static constexpr std::chrono::seconds kEvery{60};
  // By how much it has grown since the last line, when it is time for another; else 0.
  std::uint64_t more(std::uint64_t count, std::chrono::steady_clock::time_point now) {
    auto next = next_.load(std::memory_order_relaxed);
    if (count == told_.load(std::memory_order_relaxed) || now < next) return 0;
    if (!next_.compare_exchange_strong(next, now + kEvery)) return 0;  // another thread's line
    return count - told_.exchange(count);
  }

 private:
  std::atomic<std::uint64_t> told_{0};
  std::atomic<std::chrono::steady_clock::time_point> next_{};
};

enum class Level { Error, Warning, Info, Debug };

// Called once by each process, after fork; `process` ("proxy", "filter", …) stands in front of
// every text line and is a field in JSON.
void open(const config::Log& settings, std::string_view process);

// Whether a line of this level would be written: for facts that are dear to make.
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

// One line of named facts. Values are escaped as the format needs; `text` is what happened
// ("message", "session"). In text form: "QUEUEID: text key=value …", or without the id where it is
// empty.
struct Fact {
  std::string_view key;
  std::string value;
  bool number = false;  // JSON: unquoted
};
void event(Level level, std::string_view queue_id, std::string_view text,
           const std::vector<Fact>& facts);

}  // namespace logging
