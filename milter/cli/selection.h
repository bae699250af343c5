// The options of `history` and `report` that select messages, one for each key of
// history/selection.h.
#pragma once

#include <CLI/CLI.hpp>

#include <list>
#include <string>

#include "milter/history/history.h"
#include "milter/history/selection.h"

namespace cli {

struct SelectionArguments {
  struct Option {
    CLI::Option* option = nullptr;
    history::Pair pair;
  };
  std::list<Option> options;  // a list, because the parser keeps pointers to the values
};

// Requires: `arguments` lives until the arguments are parsed.
void define_selection(CLI::App& command, SelectionArguments& arguments);

// The pairs of the options that were given.
history::Pairs given(const SelectionArguments& arguments);

// Throws std::invalid_argument, whose text is one line.
history::Selection select(const history::Pairs& pairs);

// Calls `ask` with the store. If the store is missing or may not be read, throws a SetupError with
// the exit code that fits.
void with_history(const config::Memory& settings,
                  const std::function<void(history::History&)>& ask);

// Prints on standard error which files were skipped.
void warn(const std::vector<std::string>& problems);

// Writes to standard output. Throws SetupError (EX_IOERR) if that fails.
void write_out(const std::string& text);

}  // namespace cli
