#include "milter/cli/selection.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <variant>

#include "milter/process/setup_error.h"
#include "text/printable.h"

namespace cli {

void define_selection(CLI::App& command, SelectionArguments& arguments) {
  for (const auto& key : history::keys()) {
    auto& one = arguments.options.emplace_back();
    one.pair.key = key.name;
    one.option = command.add_option(fmt::format("--{}", key.name), one.pair.value, key.help)
                     ->type_name(key.form);
  }
}

history::Pairs given(const SelectionArguments& arguments) {
  history::Pairs pairs;
  for (const auto& one : arguments.options) {
    if (one.option->count() > 0) pairs.push_back(one.pair);
  }
  return pairs;
}

history::Selection select(const history::Pairs& pairs) {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  auto read = history::parse(pairs, now);
  if (const auto* error = std::get_if<history::SelectionError>(&read)) {
    throw std::invalid_argument("--" + error->message);
  }
  return std::get<history::Selection>(std::move(read));
}

void with_history(const config::Memory& settings,
                  const std::function<void(history::History&)>& ask) {
  using Why = history::Unavailable::Why;
  history::History history(settings);
  try {
    ask(history);
  } catch (const history::Unavailable& error) {
    const int code = error.why() == Why::Missing     ? EX_NOINPUT
                     : error.why() == Why::Forbidden ? EX_NOPERM
                                                     : EX_OSERR;
    throw process::SetupError(code, error.what());
  }
}

void warn(const std::vector<std::string>& problems) {
  for (const auto& problem : problems) {
    fmt::print(stderr, "segmilter: warning: {}\n", text::printable(problem));
  }
}

void write_out(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) {
    return;
  }
  throw process::SetupError(
      EX_IOERR, fmt::format("standard output cannot be written: {}", std::strerror(errno)));
}

}  // namespace cli
