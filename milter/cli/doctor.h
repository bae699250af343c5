// The command line of `segmilter doctor`.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "milter/config/config.h"

namespace cli {

struct DoctorArguments {
  std::string postfix_config;  // empty: postconf's default
  std::string format = "text";
};

// Requires: `arguments` lives until the arguments are parsed.
void define_doctor(CLI::App& command, DoctorArguments& arguments);

// Returns the exit code.
int examine(const config::Config& config, const std::string& file,
            const DoctorArguments& arguments);

}  // namespace cli
