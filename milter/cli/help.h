// The parts of `--help` that CLI11 does not write: types as manuals name them, and examples of the
// one command that the user asked about.
#pragma once

#include <CLI/CLI.hpp>

namespace cli {

// Sets the help of the program and of each command. Requires: all commands are defined.
void define_help(CLI::App& app);

}  // namespace cli
