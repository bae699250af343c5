// `segmilter history`: lists the messages that are remembered, or explains one.
#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "milter/cli/selection.h"
#include "milter/config/config.h"

namespace cli {

struct HistoryArguments {
  SelectionArguments selection;
  std::string queue_id;  // of the message to explain; empty: messages are listed
  std::size_t limit = 50;
  std::string before;  // a cursor
  std::string format = "text";
};

// Requires: `arguments` lives until the arguments are parsed.
void define_history(CLI::App& command, HistoryArguments& arguments);

// `file`: of the configuration, for the commands that are printed; empty: the default one. Returns
// the exit code: 0; 1 a file was skipped, or no message has the queue id.
int look_back(const config::Config& config, const std::string& file,
              const HistoryArguments& arguments);

}  // namespace cli
