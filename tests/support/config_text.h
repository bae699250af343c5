// Configurations of tests, as text.
#pragma once

#include <string>
#include <string_view>

#include "milter/config/load.h"

namespace support {

inline config::Config parse(std::string_view text) {
  return config::parse(text, "test.toml");
}

// The line by which it is refused; "taken" if it is not.
inline std::string refusal(std::string_view text) {
  try {
    config::parse(text, "test.toml", config::Secrets::Read);
    return "taken";
  } catch (const config::ConfigError& error) {
    return error.what();
  }
}

}  // namespace support
