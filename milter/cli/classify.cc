#include "milter/cli/classify.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <algorithm>
#include <cstdio>
#include <thread>

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

offline::SortBy sort_named(const std::string& name) {
  using offline::SortBy;
  if (name == "time") return SortBy::Time;
  if (name == "score") return SortBy::Score;
  if (name == "pattern") return SortBy::Pattern;
  if (name == "client") return SortBy::Client;
  return SortBy::Capture;
}

}  // namespace

void define_classify(CLI::App& command, ClassifyArguments& arguments) {
  command.add_option("--format", arguments.format, "form of the output")
      ->default_str("text")
      ->check(CLI::IsMember({"text", "jsonl", "html"}).description(""))
      ->type_name("text|jsonl|html");
  command
      .add_option("--sort", arguments.sort,
                  "order of the HTML page's overview (default the order of the capture)")
      ->check(CLI::IsMember({"time", "score", "pattern", "client"}).description(""))
      ->type_name("time|score|pattern|client");
  command
      .add_option(
          "--jobs", arguments.jobs,
          "number of files to read at the same time, 1 to 256 (default the number of processors)")
      ->check(CLI::Range(1, 256).description(""))
      ->type_name("NUMBER");
  command
      .add_option("-c,--config", arguments.config,
                  "configuration with thresholds and weights (default the built-in values)")
      ->type_name("FILE.toml");
  command
      .add_option("files", arguments.files,
                  "captures (pcap, pcapng), lists of traces or logs; - is standard input")
      ->type_name("CAPTURE|TRACES|LOG")
      ->required();
}

int classify(const ClassifyArguments& arguments) {
  if (!arguments.sort.empty() && arguments.format != "html") {
    fmt::print(stderr,
               "segmilter: --sort: only the HTML page has an overview; add --format html\n");
    return EX_USAGE;
  }
  offline::ClassifyOptions options{.format = format_named(arguments.format),
                                   .sort = sort_named(arguments.sort),
                                   .files = arguments.files,
                                   .policy = {},
                                   .enforcement = {},
                                   .jobs = arguments.jobs};
  if (options.jobs == 0) options.jobs = std::max(1U, std::thread::hardware_concurrency());
  if (!arguments.config.empty()) {
    auto config = config::parse(config::read_file(arguments.config), arguments.config);
    options.policy = std::move(config.policy);
    options.enforcement = std::move(config.enforcement);
  }
  return offline::classify_command(options);
}

}  // namespace cli
