// What `--help` says beside CLI11's own: types that a reader of manuals knows, and the examples of
// the command that is asked about, not those of all.
#pragma once

#include <CLI/CLI.hpp>

namespace cli {

// For the program and each of its commands. Requires: all commands are defined.
void define_help(CLI::App& app);

}  // namespace cli
