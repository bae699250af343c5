// `--help`: what follows the options, for the program and for each command. help_layout.h has the
// form of the page.
#pragma once

#include <CLI/CLI.hpp>

namespace cli {

// Sets the help of the program and of each command. Requires: all commands are defined.
void define_help(CLI::App& app);

}  // namespace cli
