#include "milter/cli/report.h"

#include <sysexits.h>

#include <algorithm>
#include <chrono>

#include "milter/history/report.h"

namespace cli {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSince = "48h";  // as the talk counted
constexpr std::size_t kMostNetworks = 10'000;
// A report of a longer time than this has a line for each day, and not for each hour.
constexpr auto kByHour = 96h;

history::Pairs pairs_of(const ReportArguments& arguments) {
  auto pairs = given(arguments.selection);
  const bool has_time = std::any_of(pairs.begin(), pairs.end(), [](const history::Pair& pair) {
    return pair.key == "from" || pair.key == "to" || pair.key == "since";
  });
  if (!has_time) pairs.push_back({"since", kSince});
  return pairs;
}

std::chrono::seconds bin_of(const history::Selection& selection) {
  const bool is_short = selection.from && *selection.to - *selection.from <= kByHour;
  return is_short ? std::chrono::seconds(1h) : std::chrono::seconds(24h);
}

std::string print(const history::Counts& counts, const history::Selection& selection,
                  const std::string& format) {
  if (format == "csv") return print_csv(counts);
  const auto report = make_report(counts, selection);
  if (format == "json") return print_json(report, counts);
  if (format == "html") return print_html(report, counts);
  return print_text(report);
}

}  // namespace

void define_report(CLI::App& command, ReportArguments& arguments) {
  define_selection(command, arguments.selection);
  command.add_option("--networks", arguments.networks, "list this many networks, 0 to 10000")
      ->check(CLI::Range(std::size_t{0}, kMostNetworks).description(""))
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--format", arguments.format,
                  "form of the output; csv: each count; html: a page with plots")
      ->default_str("text")
      ->check(CLI::IsMember({"text", "json", "csv", "html"}).description(""))
      ->type_name("text|json|csv|html");
}

int report(const config::Config& config, const ReportArguments& arguments) {
  auto selection = select(pairs_of(arguments));
  if (!selection.to) {
    selection.to = std::chrono::ceil<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }
  history::Counts counts;
  with_history(config.memory, [&](history::History& history) {
    counts = history.count(selection, {.bin = bin_of(selection), .networks = arguments.networks});
  });
  write_out(print(counts, selection, arguments.format));
  warn(counts.problems);
  return counts.problems.empty() ? EX_OK : 1;
}

}  // namespace cli
