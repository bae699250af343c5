#include "milter/process/running_config.h"

#include <exception>
#include <utility>

#include "milter/log/log.h"

namespace process {
namespace {

void log_refusal(const std::exception& error) {
  logging::error(std::string("reload refused, the old configuration stays: ") + error.what());
}

}  // namespace

void RunningConfig::take(const std::string& text, bool log_what_waits) {
  auto loaded = config::parse(text, file_, secrets_);
  const auto waiting = config::needs_restart(config_, loaded);
  config_ = config::reloaded(config_, std::move(loaded));
  if (!log_what_waits) return;
  for (const auto& key : waiting) {
    logging::warning(key + " has changed: it takes effect at the next start");
  }
}

std::optional<std::string> RunningConfig::reload_file() {
  try {
    auto text = config::read_file(file_);
    take(text, true);
    return text;
  } catch (const std::exception& error) {
    log_refusal(error);
    return std::nullopt;
  }
}

bool RunningConfig::reload(const std::string& text) {
  try {
    take(text, false);
    return true;
  } catch (const std::exception& error) {
    log_refusal(error);
    return false;
  }
}

}  // namespace process
