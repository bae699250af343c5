// Reads TOML text into a Config. An error is one line: "segmilter.toml:12: proxy.listen: …".
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"

namespace config {

// what() is "file:line: key: reason". The line is omitted if there is none.
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The largest configuration: the supervisor sends it to its children in one message
// (process/control.h).
inline constexpr std::size_t kMaxText = 120 * 1024;

// Whether parse() reads the keys of seals from their file. A process that only classifies or only
// moves bytes does not need them, and may have no right to read them.
enum class Secrets { Leave, Read };
// Throws ConfigError for unknown keys, wrong types, values out of range and unsafe combinations.
// `file` is used only in messages.
Config parse(std::string_view text, const std::string& file, Secrets secrets = Secrets::Leave);

// Overwrites secrets that a process does not need if it only moves bytes or counts: the keys of
// seals, and policy.percent_key.
void forget_secrets(Config& config);

// Reads a whole file. Throws ConfigError if it cannot be read or is larger than kMaxText.
std::string read_file(const std::string& file);

// Prints all settings as TOML that parse() can read again.
std::string print(const Config& config);

// Returns the settings that differ and that a running program cannot change (listeners, sockets,
// workers, user, capture method), such as "proxy.listen". Used for the log line at a reload.
std::vector<std::string> needs_restart(const Config& running, const Config& loaded);

// Returns the configuration after a reload: `loaded`, but with the values of `running` for every
// setting that needs a restart.
Config reloaded(const Config& running, Config loaded);

}  // namespace config
