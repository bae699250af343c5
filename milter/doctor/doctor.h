// `segmilter doctor`: looks at the running system, says what is wrong, and how to mend it.
#pragma once

#include <string>

#include "milter/config/config.h"

namespace doctor {

struct Options {
  enum class Format { Text, Json };
  std::string config_file;     // for lines that mend
  std::string postfix_config;  // the folder of main.cf; empty: postconf's own
  Format format = Format::Text;
};

// Prints the findings on standard output. Returns the exit code: 0, or 1 when something has failed.
int examine(const config::Config& config, const Options& options);

}  // namespace doctor
