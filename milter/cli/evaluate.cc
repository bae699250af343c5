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

constexpr const char* kExamples = R"(
Examples:
  segmilter evaluate --truth TRUTH.tsv captures/                         figures as text
  segmilter evaluate --truth TRUTH.tsv --format html captures/ > e.html  as a page
  segmilter evaluate --truth tests/data/corpus/TRUTH.tsv tests/data/corpus
                                                     what the project is tested on, in a checkout

Exit codes: 0 all was read, however right the answers; 1 files or messages are missing; 65 the table is
malformed; 66 nothing can be read; 74 the output cannot be written. More: segmilter(8), EVALUATION.
)";

}  // namespace

void define_evaluate(CLI::App& app, EvaluateArguments& arguments) {
  auto* command = app.add_subcommand(
      "evaluate", "how right is the classifier, on recordings whose truth is known");
  command->footer(kExamples);
  command->add_option("--truth", arguments.truth, "table of what is true (tab-separated)")
      ->type_name("TRUTH.tsv")
      ->required();
  command->add_option("--format", arguments.format, "how to print: text unless it is given")
      ->check(CLI::IsMember({"text", "json", "html"}).description(""))
      ->type_name("text|json|html");
  command
      ->add_option("-c,--config", arguments.config,
                   "thresholds and weights; the built-in ones unless it is given")
      ->type_name("FILE");
  command->add_option("folder", arguments.folder, "where the table's files are")
      ->type_name("FOLDER")
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
