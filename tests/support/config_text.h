// Configurations for tests, as text.
#pragma once

#include <string>
#include <string_view>

#include "milter/config/load.h"

namespace support {

inline config::Config parse(std::string_view text) {
  return config::parse(text, "test.toml");
}

// The error line with which the text is refused; "taken" if it is accepted.
inline std::string refusal(std::string_view text) {
  try {
    config::parse(text, "test.toml", config::Secrets::Read);
    return "taken";
  } catch (const config::ConfigError& error) {
    return error.what();
  }
}

}  // namespace support
