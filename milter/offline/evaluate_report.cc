#include "milter/offline/evaluate_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <vector>

namespace offline {
namespace {

using Row = std::vector<std::string>;

// The number of characters of a UTF-8 text, because bytes do not give the width: "≥" is one
// character of three bytes.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// Prints a table whose columns are as wide as their widest cell. The first column is aligned to the
// left, the others to the right.
std::string table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = "  ";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - width(row[i]), ' ');
      line += i == 0 ? row[i] + space : "  " + space + row[i];
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + '\n';
  }
  return text;
}

std::string figures_table(const std::vector<Figure>& figures) {
  std::vector<Row> rows = {{"figure", "value", "95 %", "of", "target", ""}};
  for (const Figure& figure : figures) {
    rows.push_back({figure.what, print_value(figure), print_interval(figure),
                    fmt::format("{}", figure.n), print_target(figure),
                    figure.met() ? "" : "missed"});
  }
  return table(rows);
}

Row score_row(std::string name, const Score& score) {
  return {std::move(name),
          fmt::format("{}", score.messages),
          print_ratio(score.writer.macro_f1()),
          print_ratio(score.path.macro_f1()),
          print_ratio(score.pattern.macro_f1()),
          print_ratio(score.pattern.accuracy().value()),
          print_rate(score.block),
          print_rate(score.gait),
          print_rate(score.gait_unknown)};
}

std::string links_table(const Evaluation& all) {
  const Row head = {"link",  "messages", "writer F1", "path F1", "pattern F1",
                    "right", "block",    "gait",      "no gait"};
  std::vector<Row> rows = {head};
  rows.back().push_back("MTA alarms");
  for (const LinkScore& link : all.links) {
    rows.push_back(score_row(link.link, link.score));
    rows.back().push_back(fmt::format("{}", link.official_alarms));
  }
  if (all.tls.messages != 0) {
    rows.push_back(score_row("under TLS", all.tls));
    rows.push_back(score_row("the same in clear", all.twins));
  }
  return table(rows);
}

std::string confusion_table(const Confusion& confusion) {
  const auto& names = confusion.names();
  const int classes = static_cast<int>(names.size());
  std::vector<Row> rows = {{"truth \\ answer"}};
  std::vector<int> shown;
  for (int answer = Confusion::kNone; answer < classes; ++answer) {
    bool occurs = false;
    for (int truth = Confusion::kNone; truth < classes; ++truth) {
      occurs = occurs || confusion.at(truth, answer) != 0 || confusion.at(answer, truth) != 0;
    }
    if (occurs) shown.push_back(answer);
  }
  // Columns are headed by the numbers of the rows, because the names would need a line of 200
  // characters.
  for (std::size_t i = 0; i < shown.size(); ++i) rows[0].push_back(fmt::format("{}", i + 1));
  for (const char* head : {"precision", "recall", "F1"}) rows[0].emplace_back(head);
  const auto scores = confusion.classes();
  for (std::size_t i = 0; i < shown.size(); ++i) {
    const int truth = shown[i];
    const std::string name =
        truth == Confusion::kNone ? "(none)" : names[static_cast<std::size_t>(truth)];
    Row row = {fmt::format("{:2} {}", i + 1, name)};
    for (const int answer : shown) {
      const std::size_t count = confusion.at(truth, answer);
      row.push_back(count == 0 ? "." : fmt::format("{}", count));
    }
    for (const ClassScore& score : scores) {
      if (truth == Confusion::kNone || score.name != name) continue;
      row.push_back(score.answered == 0 ? "-" : print_ratio(score.precision));
      row.push_back(score.support == 0 ? "-" : print_ratio(score.recall));
      row.push_back(score.support == 0 ? "-" : print_ratio(score.f1));
    }
    rows.push_back(std::move(row));
  }
  return table(rows);
}

std::string calibration_table(const Calibration& calibration) {
  std::vector<Row> rows = {{"claimed", "mean", "right", "95 %", "of"}};
  for (std::size_t i = 0; i < Calibration::kBins; ++i) {
    const auto& bin = calibration.bins()[i];
    if (bin.right.n == 0) continue;
    const Interval interval = bin.right.wilson();
    rows.push_back({fmt::format("{:.1f} to {:.1f}", static_cast<double>(i) / 10,
                                static_cast<double>(i + 1) / 10),
                    fmt::format("{:.3f}", bin.confidence), print_ratio(bin.right.value()),
                    fmt::format("{:.3f}–{:.3f}", interval.low, interval.high),
                    fmt::format("{}", bin.right.n)});
  }
  return table(rows);
}

std::string alarms_table(const Evaluation& all) {
  std::vector<Row> rows = {{"sender class", "messages", "bot-*", "at tempfail", "at reject"}};
  for (const ClassAlarms& alarms : all.alarms) {
    rows.push_back({alarms.sender_class, fmt::format("{}", alarms.bot.n),
                    fmt::format("{}", alarms.bot.hits), fmt::format("{}", alarms.tempfail.hits),
                    fmt::format("{}", alarms.reject.hits)});
  }
  return table(rows);
}

std::string gait_mistakes_table(const std::vector<GaitMistake>& mistakes) {
  if (mistakes.empty()) return "";
  std::vector<Row> rows = {{"program", "gait", "messages"}};
  for (const GaitMistake& mistake : mistakes) {
    rows.push_back({mistake.sender, mistake.answer, fmt::format("{}", mistake.messages)});
  }
  return table(rows);
}

std::string place(const std::string& file, std::uint32_t message) {
  return fmt::format("{} #{}", file, message);
}

std::string mistakes_list(const std::vector<Mistake>& mistakes) {
  std::string text;
  for (std::size_t i = 0; i < std::min(mistakes.size(), kWorstMistakes); ++i) {
    const Mistake& mistake = mistakes[i];
    const TruthRow& truth = mistake.truth;
    text += fmt::format("  {} ({}, {}): {}, confidence {:.2f}\n    {}\n",
                        place(truth.file, truth.message), truth.sender, truth.link,
                        print_mistake(mistake), mistake.answer.confidence, mistake.answer.trace);
  }
  if (mistakes.size() > kWorstMistakes) {
    text += fmt::format("  {} more; --format json prints all of them\n",
                        mistakes.size() - kWorstMistakes);
  }
  return text;
}

std::string alarms_text(const Evaluation& all) {
  auto text = alarms_table(all);
  if (!all.official_alarms.empty()) text += "\nOfficial MTAs with an alarm\n";
  for (const Judged& one : all.official_alarms) {
    text += fmt::format("  {} ({}): {}, score {:.1f}\n", place(one.truth.file, one.truth.message),
                        one.truth.sender, classifier::name(one.answer->pattern), one.answer->score);
  }
  return text;
}

std::string lost_list(const Evaluation& all) {
  std::string text;
  for (const TruthRow& row : all.missing) {
    text += fmt::format("  {}: was not found and counts as wrong\n", place(row.file, row.message));
  }
  for (const Extra& one : all.extra) {
    text += fmt::format("  {}: is not in the truth; answer {}\n", place(one.file, one.message),
                        classifier::name(one.answer.pattern));
  }
  return text;
}

}  // namespace

std::string print_ratio(std::optional<double> value) {
  return value ? fmt::format("{:.3f}", *value) : "-";
}

std::string print_rate(const Rate& rate) {
  return rate.n == 0 ? "-" : fmt::format("{}/{}", rate.hits, rate.n);
}

namespace {

// Only figures that count messages have the target 0; they are printed without decimals.
std::string print_number(const Figure& figure, double value) {
  const bool counts = !figure.higher_is_better && figure.target == 0.0;
  return counts ? fmt::format("{:.0f}", value) : fmt::format("{:.3f}", value);
}

}  // namespace

std::string print_value(const Figure& figure) {
  return figure.value ? print_number(figure, *figure.value) : "-";
}

std::string print_interval(const Figure& figure) {
  if (!figure.interval) return "";
  return fmt::format("{:.3f}–{:.3f}", figure.interval->low, figure.interval->high);
}

std::string print_target(const Figure& figure) {
  if (!figure.target) return "";
  return fmt::format("{} {}", figure.higher_is_better ? "≥" : "≤",
                     print_number(figure, *figure.target));
}

std::string print_mistake(const Mistake& mistake) {
  const TruthRow& truth = mistake.truth;
  const Answer& answer = mistake.answer;
  std::string text;
  const auto add = [&text](std::string_view axis, const auto& given, const auto& wanted) {
    text += fmt::format("{}{}{} instead of {}", text.empty() ? "" : ", ", axis, given, wanted);
  };
  if (mistake.pattern) add("", classifier::name(answer.pattern), join(truth.patterns));
  if (mistake.writer) add("writer ", classifier::name(answer.writer), join(truth.writers));
  if (mistake.path) add("path ", classifier::name(answer.path), join(truth.paths));
  if (mistake.block) add("block ", answer.block, truth.block);
  return text;
}

std::vector<Section> outline(const Evaluation& all, const Form& form) {
  std::vector<Section> sections;
  const auto add = [&sections](std::string title, std::string content) {
    sections.push_back({std::move(title), std::move(content)});
  };
  add("Figures", form.figures(all.figures));
  add("By link", form.links(all));
  add("Writer, without TLS, three or more segments", form.confusion(all.clear.writer));
  add("Path, without TLS", form.confusion(all.clear.path));
  add("Pattern, without TLS", form.confusion(all.clear.pattern));
  if (all.tls.messages != 0) add("Pattern, under TLS", form.confusion(all.tls.pattern));
  add("Confidence of the pattern: does 0.9 mean 90 %?", form.calibration(all.clear.calibration));
  add("False alarms by sender class", form.alarms(all));
  if (!all.gait_mistakes.empty()) {
    add("Messages that got another program's gait, or none", form.gait_mistakes(all.gait_mistakes));
  }
  if (!all.gaits_left_out.empty()) {
    add("Gaits given to programs that were left out of the list",
        form.gait_mistakes(all.gaits_left_out));
  }
  if (!all.mistakes.empty()) add("The worst mistakes", form.mistakes(all.mistakes));
  if (!all.missing.empty() || !all.extra.empty()) {
    add("Missing and extra messages", form.lost(all));
  }
  return sections;
}

std::string print_text(const Evaluation& all) {
  constexpr Form kForm{figures_table, links_table,         confusion_table, calibration_table,
                       alarms_text,   gait_mistakes_table, mistakes_list,   lost_list};
  auto text = fmt::format("{} messages\n", all.messages);
  for (const auto& [title, content] : outline(all, kForm)) {
    if (!content.empty()) text += fmt::format("\n{}\n{}", title, content);
  }
  return text;
}

}  // namespace offline
