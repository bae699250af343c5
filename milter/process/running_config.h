// The configuration with which a process runs. It is the file as it was at the start, plus the
// later changes that a reload may make. Settings marked [restart] keep their value until the
// process is started again.
//
// Each process has its own. The supervisor reads the file once and sends the text to all processes;
// a process that runs alone reads the file at HUP. A text with an error changes nothing. The result
// of a reload is logged here and nowhere else, so that its wording is always the same. Not
// thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "milter/config/config.h"
#include "milter/config/load.h"

namespace process {

class RunningConfig {
 public:
  // `file`: its path, for reload_file() and for messages. `secrets`: whether the process needs the
  // keys from the files that the configuration names.
  RunningConfig(config::Config started, std::string file, config::Secrets secrets)
      : config_(std::move(started)), file_(std::move(file)), secrets_(secrets) {}

  const config::Config& operator*() const { return config_; }
  const config::Config* operator->() const { return &config_; }
  // Returns a copy that other threads may read during a reload.
  std::shared_ptr<const config::Config> share() const {
    return std::make_shared<const config::Config>(config_);
  }
  // Overwrites secrets that the process does not need (config::forget_secrets).
  void forget_secrets() { config::forget_secrets(config_); }

  // Reads the file again and logs which changes take effect only at the next start. Returns the
  // text for the other processes. Returns nullopt if the text was refused; that is logged too.
  std::optional<std::string> reload_file();
  // Uses a text that the supervisor has read; the supervisor has logged which changes must wait.
  // Returns false if the text is refused.
  bool reload(const std::string& text);

 private:
  void take(const std::string& text, bool log_what_waits);

  config::Config config_;
  const std::string file_;
  const config::Secrets secrets_;
};

}  // namespace process
