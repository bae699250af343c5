// The command line of `segmilter evaluate`.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace cli {

struct EvaluateArguments {
  std::string truth;
  std::string folder;
  std::string format = "text";
  std::string config;  // empty: the built-in thresholds and weights
};

// Requires: `arguments` lives until the arguments are parsed.
void define_evaluate(CLI::App& command, EvaluateArguments& arguments);

// Returns the exit code. Throws config::ConfigError.
int evaluate(const EvaluateArguments& arguments);

}  // namespace cli
