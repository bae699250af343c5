#include "milter/cli/classify.h"

#include "milter/config/load.h"
#include "milter/offline/classify_command.h"

namespace cli {
namespace {

using Format = offline::ClassifyOptions::Format;

Format format_named(const std::string& name) {
  if (name == "jsonl") return Format::Jsonl;
  if (name == "html") return Format::Html;
  return Format::Text;
}

}  // namespace

void define_classify(CLI::App& app, ClassifyArguments& arguments) {
  auto* command =
      app.add_subcommand("classify", "how were the messages in a capture or a list of traces sent");
  command->add_option("--format", arguments.format, "text, jsonl or html")
      ->check(CLI::IsMember({"text", "jsonl", "html"}))
      ->capture_default_str();
  command
      ->add_option("-c,--config", arguments.config,
                   "thresholds and weights; without it the defaults")
      ->type_name("FILE");
  command->add_option("files", arguments.files, "captures or lists of traces; - is standard input")
      ->type_name("PCAP|TRACE")
      ->required();
}

int classify(const ClassifyArguments& arguments) {
  offline::ClassifyOptions options{
      .format = format_named(arguments.format), .files = arguments.files, .policy = {}};
  if (!arguments.config.empty()) {
    options.policy = config::parse(config::read_file(arguments.config), arguments.config).policy;
  }
  return offline::classify_command(options);
}

}  // namespace cli
