#include "milter/cli/evaluate.h"

#include "milter/config/load.h"
#include "milter/offline/evaluate_command.h"
#include "milter/offline/offline.h"

namespace cli {
namespace {

using Format = offline::EvaluateOptions::Format;

Format format_named(const std::string& name) {
  if (name == "json") return Format::Json;
  if (name == "html") return Format::Html;
  return Format::Text;
}

}  // namespace

void define_evaluate(CLI::App& command, EvaluateArguments& arguments) {
  command.add_option("--truth", arguments.truth, "table of the right answers, tab-separated")
      ->type_name("TRUTH.tsv")
      ->required();
  command.add_option("--format", arguments.format, "form of the output")
      ->default_str("text")
      ->check(CLI::IsMember({"text", "json", "html"}).description(""))
      ->type_name("text|json|html");
  command
      .add_option("-c,--config", arguments.config,
                  "configuration with thresholds and weights (default the built-in values)")
      ->type_name("FILE.toml");
  command.add_option("folder", arguments.folder, "folder with the files that the table lists")
      ->type_name("DIR")
      ->required();
}

int evaluate(const EvaluateArguments& arguments) {
  offline::EvaluateOptions options{.truth = arguments.truth,
                                   .folder = arguments.folder,
                                   .format = format_named(arguments.format),
                                   .policy = {}};
  if (!arguments.config.empty()) {
    options.policy = config::parse(config::read_file(arguments.config), arguments.config).policy;
  }
  return offline::evaluate_command(options, offline::classify_file);
}

}  // namespace cli
