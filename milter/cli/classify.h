// The command line of `segmilter classify`.
#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <vector>

namespace cli {

struct ClassifyArguments {
  std::vector<std::string> files;
  std::string format = "text";
  std::string sort;    // empty: the order of the capture
  unsigned jobs = 0;   // 0: the number of processors
  std::string config;  // empty: the built-in thresholds and weights
};

// Requires: `arguments` lives until the arguments are parsed.
void define_classify(CLI::App& command, ClassifyArguments& arguments);

// Returns the exit code. Throws config::ConfigError.
int classify(const ClassifyArguments& arguments);

}  // namespace cli
