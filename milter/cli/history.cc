#include "milter/cli/history.h"

#include <fmt/format.h>
#include <sysexits.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <stdexcept>

#include "classifier/trace_text.h"
#include "milter/filter/header.h"
#include "milter/history/explain.h"
#include "milter/history/print.h"
#include "milter/memory/store.h"
#include "milter/offline/report.h"
#include "text/printable.h"

namespace cli {
namespace {

using history::Explanation;
using history::History;
using history::Row;

constexpr int kSomeMissing = 1;
constexpr std::size_t kPageRows = 1000;  // that are asked for at a time

std::string hostname(const config::Config& config) {
  if (!config.general.hostname.empty()) return config.general.hostname;
  char name[256] = "";
  (void)gethostname(name, sizeof name - 1);
  return name;
}

// The field as the filter adds it, with CRLF as LF; empty where there is no trace.
std::string header_of(const Row& row, const Explanation& explained, const config::Config& config) {
  if (!explained.trace) return {};
  return fmt::format("{}: {}", filter::kHeaderName,
                     filter::header_value(hostname(config), *explained.trace, explained.verdict,
                                          explained.decision, row.tls, config.header.max_runs));
}

class Explainer {
 public:
  Explainer(const config::Config& config, std::string file)
      : config_(config), file_(std::move(file)) {}

  std::string text(const Row& row) const {
    const auto explained = explain(row, config_.policy);
    draw(row, explained);
    return who(row) + why(row, explained) +
           fmt::format("\nWhat was done\n  {}\n",
                       history::outcome(explained.decision, basis_of(row))) +
           header(row, explained) + others(row);
  }

  std::string json(const Row& row) const {
    const auto explained = explain(row, config_.policy);
    return print_json(row, explained, header_of(row, explained, config_));
  }

 private:
  // The picture is that of `segmilter classify`. The reasons follow below, with their parts of the
  // score.
  void draw(const Row& row, const Explanation& explained) const {
    offline::Result result;
    result.file = row.queue_id.empty() ? "message" : row.queue_id;
    result.number = 1;
    result.time_ns = static_cast<std::uint64_t>(row.time().time_since_epoch().count()) * 1'000'000;
    if (explained.trace) result.trace = *explained.trace;
    result.verdict = explained.verdict;
    result.verdict.reasons.clear();
    const bool colours = isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
    offline::text_report(stdout, colours)->message(result);
  }

  static std::string who(const Row& row) {
    std::string text;
    const auto port = row.port ? fmt::format(" port {}", *row.port) : std::string();
    text += row.address.empty() ? "an address that is not kept" : row.address + port;
    text += row.network.empty() ? "; a network that is not known"
                                : fmt::format("; network {}", row.network);
    text += fmt::format("; EHLO name: {}",
                        row.helo.literal     ? "an address in brackets"
                        : row.helo.dotless   ? "one word without a dot"
                        : row.helo.confirmed ? "the client's confirmed DNS name"
                                             : "another name than the client's confirmed DNS name");
    text += fmt::format("; TLS: {}", row.tls ? "yes" : "no");
    if (!row.listener.empty()) text += fmt::format("; listener {}", row.listener);
    if (row.weight != 1)
      text += fmt::format("; the store keeps one of {} such messages", row.weight);
    return fmt::format("\nWho sent it\n  {}\n", text::printable(text));
  }

  static std::string why(const Row& row, const Explanation& explained) {
    constexpr std::string_view kLine = "  {:<72} {:>8}\n";
    std::string text = "\nWhy, and what each reason adds to the score\n";
    for (const auto& [sentence, part] : explained.reasons) {
      const auto words = text::printable(sentence);
      text += part ? fmt::format(fmt::runtime(kLine), words, fmt::format("{:+.3f}", *part))
                   : fmt::format("  {}\n", words);
    }
    if (std::abs(explained.rest) >= 0.0005) {
      text += fmt::format(fmt::runtime(kLine), "rounding, and terms that were not kept",
                          fmt::format("{:+.3f}", explained.rest));
    }
    text += fmt::format(fmt::runtime(kLine), "score", fmt::format("{:+.3f}", row.score));
    if (!explained.trace) text += "  The trace is not kept, or this program cannot read it.\n";
    if (explained.is_judged_otherwise) {
      text +=
          "  This program, with this configuration, would give the trace another label. The "
          "labels\n  above are from the time of the message; the reasons without a number are "
          "new.\n";
    }
    return text;
  }

  std::string header(const Row& row, const Explanation& explained) const {
    const auto field = header_of(row, explained, config_);
    if (field.empty()) return {};
    return fmt::format(
        "\nThe header field, made again from the store (host name and length as configured now;\n"
        "no seal, and no terms of the reputation)\n{}\n"
        "\nThe trace, for `segmilter classify -`\n{}\n",
        field, text::printable(row.trace));
  }

  std::string others(const Row& row) const {
    const auto command = fmt::format("  segmilter history{}", file_.empty() ? "" : " -c " + file_);
    auto labels = fmt::format("{} --pattern {} --writer {} --path {} --gait {}", command,
                              row.pattern, row.writer, row.path, row.gait);
    auto text = fmt::format("\nSimilar messages\n{}\n", text::printable(labels));
    if (!row.network.empty()) {
      text += text::printable(fmt::format("{} --client {}", command, row.network)) + "\n";
    }
    return text;
  }

  const config::Config& config_;
  const std::string file_;
};

int explain_message(History& history, const HistoryArguments& arguments,
                    const Explainer& explainer) {
  const auto page = history.page(select({{"queue-id", arguments.queue_id}}),
                                 {.rows = kPageRows, .before = {}, .traces = true});
  warn(page.problems);
  if (page.rows.empty()) {
    fmt::print(
        stderr,
        "segmilter: {}: no message with this queue id is remembered; queue ids are kept for {} "
        "days, and not of messages that were exempt\n",
        text::printable(arguments.queue_id), memory::kExactDays.count());
    return kSomeMissing;
  }
  for (const auto& row : page.rows) {
    write_out(arguments.format == "json"  ? explainer.json(row)
              : arguments.format == "csv" ? history::csv_head() + history::print_csv(row)
                                          : explainer.text(row));
  }
  return page.problems.empty() ? EX_OK : kSomeMissing;
}

std::string print(const Row& row, const std::string& format) {
  if (format == "json") return print_json(row);
  if (format == "csv") return print_csv(row);
  return print_text(row);
}

std::optional<history::Cursor> cursor_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto cursor = history::parse_cursor(text);
  if (cursor) return cursor;
  throw std::invalid_argument(
      fmt::format("--before: \"{}\" is not a place in the history: write what the earlier list "
                  "printed at its end",
                  text::printable(text)));
}

int list_messages(History& history, const HistoryArguments& arguments) {
  const auto selection = select(given(arguments.selection));
  auto before = cursor_of(arguments.before);
  if (arguments.format == "csv") write_out(history::csv_head());
  std::vector<std::string> problems;
  std::size_t left = arguments.limit == 0 ? SIZE_MAX : arguments.limit;
  bool is_first = true;
  do {
    const auto page =
        history.page(selection, {.rows = std::min(left, kPageRows), .before = before});
    std::string text;
    if (is_first && arguments.format == "text") {
      text = page.rows.empty() ? "no messages\n" : history::text_head();
    }
    if (is_first) problems = page.problems;
    is_first = false;
    for (const auto& row : page.rows) text += print(row, arguments.format);
    write_out(text);
    before = page.before;
    left -= std::min(left, page.rows.size());
  } while (before && left > 0);
  if (before && arguments.format == "text") {
    write_out(fmt::format("older messages: the same with --before {}\n", print(*before)));
  }
  warn(problems);
  return problems.empty() ? EX_OK : kSomeMissing;
}

}  // namespace

void define_history(CLI::App& command, HistoryArguments& arguments) {
  define_selection(command, arguments.selection);
  command.add_option("--limit", arguments.limit, "print at most N messages, newest first; 0: all")
      ->type_name("N")
      ->capture_default_str();
  command
      .add_option("--before", arguments.before,
                  "continue after an earlier list, with what it printed at its end")
      ->type_name("PLACE");
  command
      .add_option("--format", arguments.format, "form of the output; json: one object on a line")
      ->default_str("text")
      ->check(CLI::IsMember({"text", "json", "csv"}).description(""))
      ->type_name("text|json|csv");
  command
      .add_option("queue-id", arguments.queue_id,
                  "explain this message: its picture, reasons and header field")
      ->type_name("QUEUEID");
}

int look_back(const config::Config& config, const std::string& file,
              const HistoryArguments& arguments) {
  if (!arguments.queue_id.empty() && !given(arguments.selection).empty()) {
    throw std::invalid_argument(
        "history: a QUEUEID is explained alone; to list it with other conditions, use --queue-id");
  }
  int code = EX_OK;
  with_history(config.memory, [&](History& history) {
    code = arguments.queue_id.empty()
               ? list_messages(history, arguments)
               : explain_message(history, arguments, Explainer(config, file));
  });
  return code;
}

}  // namespace cli
