// The configuration that a process runs with: the file as it was at the start, and of later ones
// what a reload may change. Settings marked [restart] stay as started until the process starts
// again.
//
// Each process keeps one and is told to reload: by the supervisor, which reads the file once and
// sends its text to all, or by HUP where it runs alone. A refused text changes nothing. What
// becomes of a reload is written to the log here and nowhere else, so that there is one wording.
// Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "milter/config/config.h"
#include "milter/config/load.h"

namespace process {

class RunningConfig {
 public:
  // `file`: its path, for reload_file() and for messages. `secrets`: whether the process wants the
  // files that the configuration names (keys).
  RunningConfig(config::Config started, std::string file, config::Secrets secrets)
      : config_(std::move(started)), file_(std::move(file)), secrets_(secrets) {}

  const config::Config& operator*() const { return config_; }
  const config::Config* operator->() const { return &config_; }
  // A copy that other threads may read while a reload goes on here.
  std::shared_ptr<const config::Config> share() const {
    return std::make_shared<const config::Config>(config_);
  }
  // Overwrites what the process has no use for (config::forget_secrets).
  void forget_secrets() { config::forget_secrets(config_); }

  // Reads the file anew and logs which changes have to wait for the next start. Returns its text,
  // for the other processes; nothing where it was refused, which is logged too.
  std::optional<std::string> reload_file();
  // Takes over a text that the supervisor has read and logged all that about. False: refused.
  bool reload(const std::string& text);

 private:
  void take(const std::string& text, bool log_what_waits);

  config::Config config_;
  const std::string file_;
  const config::Secrets secrets_;
};

}  // namespace process
