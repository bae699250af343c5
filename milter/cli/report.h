// `segmilter report`: counts the messages that are remembered.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "milter/cli/selection.h"
#include "milter/config/config.h"

namespace cli {

struct ReportArguments {
  SelectionArguments selection;
  std::size_t networks = 20;
  std::string format = "text";
};

// Requires: `arguments` lives until the arguments are parsed.
void define_report(CLI::App& command, ReportArguments& arguments);

// Returns the exit code: 0; 1 a file was skipped.
int report(const config::Config& config, const ReportArguments& arguments);

}  // namespace cli
