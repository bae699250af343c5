// `segmilter doctor`: examines the running system, reports what is wrong and how to fix it.
#pragma once

#include <string>

#include "milter/config/config.h"

namespace doctor {

struct Options {
  enum class Format { Text, Json };
  std::string config_file;     // printed in the lines that fix something
  std::string postfix_config;  // the folder of main.cf; empty: postconf's default
  Format format = Format::Text;
};

// Prints the findings on standard output. Returns the exit code: 0, or 1 if a finding is a failure.
int examine(const config::Config& config, const Options& options);

}  // namespace doctor
