#include "milter/cli/help_layout.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace cli {
namespace {

constexpr std::size_t kWidth = 79;
constexpr std::size_t kCommandColumn = 12;  // where the descriptions of commands begin
constexpr std::size_t kOptionColumn = 26;   // where the descriptions of options begin

// Appends the words of `text`. A new line begins with `indent` blanks; the cursor is at column
// `at`.
void append_wrapped(std::string& page, std::string_view text, std::size_t at, std::size_t indent) {
  bool fresh = true;  // nothing stands after the indent yet
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (!fresh && at + 1 + word.size() > kWidth) {
      page += "\n" + std::string(indent, ' ');
      at = indent;
      fresh = true;
    }
    if (!fresh) page += ' ';
    page += word;
    at += word.size() + (fresh ? 0 : 1);
    fresh = false;
  }
  page += '\n';
}

// A name, and beside it or below it what it means.
void append_row(std::string& page, const std::string& name, const std::string& text,
                std::size_t column) {
  page += "  " + name;
  if (text.empty()) {
    page += '\n';
    return;
  }
  // Two blanks at least are between name and text.
  const std::size_t end = 2 + name.size();
  page += end + 2 > column ? "\n" + std::string(column, ' ') : std::string(column - end, ' ');
  append_wrapped(page, text, column, column);
}

// "{text,json}" → "text|json".
std::string choices(std::string_view set) {
  std::string names(set.substr(1, set.size() - 2));
  std::replace(names.begin(), names.end(), ',', '|');
  return names;
}

// CLI11 gives the type and, after colons, what its checks say of themselves: "TEXT:{text,json}",
// "UINT:INT in [1 - 8]".
std::string type_of(const CLI::Option& option) {
  const auto raw = option.get_type_name();
  const auto colon = raw.find(':');
  const std::string_view check = colon == raw.npos ? "" : std::string_view(raw).substr(colon + 1);
  if (check.starts_with('{') && check.ends_with('}')) return choices(check);
  const auto type = raw.substr(0, colon);
  return type == "UINT" || type == "INT" || type == "FLOAT" ? "NUMBER" : type;
}

// "INT in [1 - 8]" → " (1 to 8)".
std::string range_of(const CLI::Option& option) {
  const auto raw = option.get_type_name();
  const auto open = raw.find(" in [");
  const auto dash = raw.find(" - ", open);
  const auto close = raw.find(']', dash);
  if (open == raw.npos || dash == raw.npos || close == raw.npos) return "";
  return fmt::format(" ({} to {})", raw.substr(open + 5, dash - open - 5),
                     raw.substr(dash + 3, close - dash - 3));
}

bool takes_several(const CLI::Option& option) {
  return option.get_expected_max() == CLI::detail::expected_max_vector_size;
}

std::string value_of(const CLI::Option& option) {
  return option.get_type_size() == 0 ? "" : type_of(option) + (takes_several(option) ? "..." : "");
}

// "-c, --config FILE", or "    --print", so that the long names form a column.
std::string option_name(const CLI::Option& option) {
  const auto& shorts = option.get_snames();
  std::string name = shorts.empty() ? "    " : "-" + shorts.front() + ", ";
  if (!option.get_lnames().empty()) name += "--" + option.get_lnames().front();
  const auto value = value_of(option);
  return value.empty() ? name : name + " " + value;
}

std::string option_text(const CLI::Option& option) {
  std::string text = option.get_description();
  if (option.get_type_size() != 0) text += range_of(option);
  if (option.get_required() && !option.get_positional()) text += " (required)";
  const auto fallback = option.get_default_str();
  if (!fallback.empty()) text += fmt::format(" (default {})", fallback);
  return text;
}

using Options = std::vector<const CLI::Option*>;

Options arguments_of(const CLI::App& app) {
  return app.get_options([](const CLI::Option* option) { return option->get_positional(); });
}

// --help is the last one: the reader has found it.
Options options_of(const CLI::App& app) {
  auto options = app.get_options([](const CLI::Option* option) { return option->nonpositional(); });
  std::stable_partition(options.begin(), options.end(),
                        [&](const CLI::Option* option) { return option != app.get_help_ptr(); });
  return options;
}

std::string usage(const CLI::App& app, const std::string& name, const Options& arguments) {
  std::string line = "Usage: " + name;
  for (const auto* option : options_of(app)) {
    if (option->get_required()) {
      line += fmt::format(" --{} {}", option->get_lnames().front(), value_of(*option));
    }
  }
  line += " [OPTION]...";
  for (const auto* argument : arguments) {
    const auto value = value_of(*argument);
    line += argument->get_required() ? " " + value : " [" + value + "]";
  }
  if (!app.get_subcommands({}).empty()) line += " COMMAND";
  return line + "\n";
}

}  // namespace

std::string HelpLayout::make_help(const CLI::App* app, std::string name,
                                  CLI::AppFormatMode /*mode*/) const {
  std::string page;
  append_wrapped(page, app->get_description(), 0, 0);
  const auto arguments = arguments_of(*app);
  page += "\n" + usage(*app, name, arguments);
  const auto commands = app->get_subcommands({});
  if (!commands.empty()) page += "\nCommands:\n";
  for (const auto* command : commands) {
    append_row(page, command->get_name(), command->get_description(), kCommandColumn);
  }
  if (!arguments.empty()) page += "\nArguments:\n";
  for (const auto* argument : arguments) {
    append_row(page, value_of(*argument), option_text(*argument), kOptionColumn);
  }
  page += "\nOptions:\n";
  for (const auto* option : options_of(*app)) {
    append_row(page, option_name(*option), option_text(*option), kOptionColumn);
  }
  return page + app->get_footer();
}

}  // namespace cli
