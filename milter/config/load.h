// TOML text → Config, or one pointed line: "segmilter.toml:12: proxy.listen: …".
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "milter/config/config.h"

namespace config {

// what() is "file:line: key: reason" (the line is left out where there is none).
class ConfigError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Limit of a configuration: it goes to the children in one control message (process/control.h).
inline constexpr std::size_t kMaxText = 120 * 1024;

// Unknown keys, wrong types, values out of range and combinations that would be unsafe are errors.
// `file` is used in messages only. Throws ConfigError.
// `secrets`: whether the keys of seals are read from their file. Who only classifies, or only moves
// bytes, has no need of them and may have no right to.
enum class Secrets { Leave, Read };
Config parse(std::string_view text, const std::string& file, Secrets secrets = Secrets::Leave);

// Overwrites what a process that only moves bytes or counts has no need of: the keys of seals, and
// policy.percent_key.
void forget_secrets(Config& config);

// Reads a whole file. Throws ConfigError when it cannot be read.
std::string read_file(const std::string& file);

// All settings as TOML that parse() takes again.
std::string print(const Config& config);

// Settings that differ and that a running program cannot change (listeners, sockets, workers, user,
// capture method): for the log line at a reload. "proxy.listen".
std::vector<std::string> needs_restart(const Config& running, const Config& loaded);

// What a running program becomes by a reload: `loaded`, but for the settings of needs_restart,
// which stay as they are in `running`.
Config reloaded(const Config& running, Config loaded);

}  // namespace config
