// The page of an evaluation. Everything that comes from a file (names, traces) is escaped; there is
// no script and nothing is loaded from elsewhere, so that it can be sent and opened anywhere.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "milter/offline/evaluate_report.h"

namespace offline {
namespace {

constexpr std::string_view kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>segmilter evaluate</title><style>
:root { color-scheme: light dark; --line: #8886; --bad: #c33; --good: #283; --fill: 40, 110, 200; }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; }
table { border-collapse: collapse; margin: .5em 0 1.5em; }
th, td { padding: .2em .6em; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
thead th { vertical-align: bottom; font-weight: 600; }
.missed { color: var(--bad); font-weight: 600; } .met { color: var(--good); }
.tall { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; }
code { font-size: 12px; overflow-wrap: anywhere; } .scroll { overflow-x: auto; }
svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
</style></head><body>
)";

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string cell(std::string_view text) {
  return fmt::format("<td>{}</td>", escaped(text));
}

std::string head(std::initializer_list<std::string_view> names) {
  std::string text = "<table><thead><tr>";
  for (const auto name : names) text += fmt::format("<th>{}</th>", name);
  return text + "</tr></thead><tbody>\n";
}

constexpr std::string_view kEnd = "</tbody></table>\n";

std::string figures_table(const std::vector<Figure>& figures) {
  std::string text = head({"figure", "value", "95 %", "of", "target", ""});
  for (const Figure& figure : figures) {
    const bool judged = figure.target && figure.value;
    text += fmt::format("<tr>{}{}{}<td>{}</td>{}<td class=\"{}\">{}</td></tr>\n", cell(figure.what),
                        cell(print_value(figure)), cell(print_interval(figure)), figure.n,
                        cell(print_target(figure)), figure.met() ? "met" : "missed",
                        !judged        ? ""
                        : figure.met() ? "met"
                                       : "missed");
  }
  return text.append(kEnd);
}

std::string score_row(std::string_view name, const Score& score, const std::string& alarms) {
  return fmt::format(
      "<tr>{}<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>"
      "<td>{}</td><td>{}</td></tr>\n",
      cell(name), score.messages, print_ratio(score.writer.macro_f1()),
      print_ratio(score.path.macro_f1()), print_ratio(score.pattern.macro_f1()),
      print_ratio(score.pattern.accuracy().value()), print_rate(score.block),
      print_rate(score.gait), print_rate(score.gait_unknown), alarms);
}

std::string links_table(const Evaluation& all) {
  std::string text = head({"link", "messages", "writer F1", "path F1", "pattern F1",
                           "pattern right", "block right", "gait right", "no gait", "MTA alarms"});
  for (const LinkScore& link : all.links) {
    text += score_row(link.link, link.score, fmt::format("{}", link.official_alarms));
  }
  if (all.tls.messages != 0) {
    text += score_row("under TLS", all.tls, "");
    text += score_row("the same programs in clear", all.twins, "");
  }
  return text.append(kEnd);
}

// Each cell is as dark as its share of its truth.
std::string confusion_table(const Confusion& confusion) {
  const int classes = static_cast<int>(confusion.names().size());
  const auto name = [&](int i, std::string_view none) {
    return i == Confusion::kNone ? none
                                 : std::string_view(confusion.names()[static_cast<std::size_t>(i)]);
  };
  std::string text = "<table><thead><tr><th>truth \\ answer</th>";
  for (int answer = Confusion::kNone; answer < classes; ++answer) {
    text += fmt::format("<th class=\"tall\">{}</th>", name(answer, "(not found)"));
  }
  text += "<th>messages</th></tr></thead><tbody>\n";
  for (int truth = Confusion::kNone; truth < classes; ++truth) {
    std::size_t all = 0;
    for (int answer = Confusion::kNone; answer < classes; ++answer) {
      all += confusion.at(truth, answer);
    }
    if (all == 0) continue;
    text += fmt::format("<tr>{}", cell(name(truth, "(not in the truth)")));
    for (int answer = Confusion::kNone; answer < classes; ++answer) {
      const std::size_t count = confusion.at(truth, answer);
      const double share = static_cast<double>(count) / static_cast<double>(all);
      text += count == 0
                  ? std::string("<td></td>")
                  : fmt::format("<td style=\"background:rgba({},{:.2f})\"{}>{}</td>",
                                truth == answer ? "var(--fill)" : "200,50,50", 0.12 + 0.6 * share,
                                truth == answer ? "" : " class=\"missed\"", count);
    }
    text += fmt::format("<td>{}</td></tr>\n", all);
  }
  return "<div class=\"scroll\">" + text.append(kEnd) + "</div>";
}

// What was claimed (across) against what was right (up). Points on the diagonal are honest; the bar
// is the 95 % interval, the point's size the share of messages.
std::string reliability_plot(const Calibration& calibration) {
  constexpr double kSide = 320;
  constexpr double kEdge = 40;
  const auto x = [](double value) { return kEdge + value * kSide; };
  const auto y = [](double value) { return 10 + (1 - value) * kSide; };
  std::string text = fmt::format(
      "<svg viewBox=\"0 0 {0} {0}\" width=\"{0}\" height=\"{0}\" role=\"img\" "
      "aria-label=\"reliability plot\"><rect x=\"{1}\" y=\"{2}\" width=\"{3}\" height=\"{3}\" "
      "fill=\"none\" stroke=\"currentColor\" stroke-opacity=\".4\"/><line x1=\"{1}\" y1=\"{4}\" "
      "x2=\"{5}\" y2=\"{2}\" stroke=\"currentColor\" stroke-dasharray=\"4\" "
      "stroke-opacity=\".5\"/>\n",
      kSide + kEdge + 20, x(0), y(1), kSide, y(0), x(1));
  for (int i = 0; i <= 10; i += 2) {
    const double tick = i / 10.0;
    text += fmt::format(
        "<text x=\"{:.0f}\" y=\"{:.0f}\" text-anchor=\"middle\">{:.1f}</text><text x=\"{:.0f}\" "
        "y=\"{:.0f}\" "
        "text-anchor=\"end\">{:.1f}</text>\n",
        x(tick), y(0) + 16, tick, x(0) - 6, y(tick) + 4, tick);
  }
  const auto all = static_cast<double>(std::max<std::size_t>(calibration.n(), 1));
  for (const auto& bin : calibration.bins()) {
    if (bin.right.n == 0) continue;
    const Interval interval = bin.right.wilson();
    const double share = static_cast<double>(bin.right.n) / all;
    text += fmt::format(
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" stroke=\"#286ec8\"/>"
        "<circle cx=\"{0:.1f}\" cy=\"{3:.1f}\" r=\"{4:.1f}\" fill=\"#286ec8\" fill-opacity=\".7\">"
        "<title>{5} messages, claimed {6:.3f}, right {7:.3f}</title></circle>\n",
        x(bin.confidence), y(interval.low), y(interval.high), y(*bin.right.value()), 3 + 9 * share,
        bin.right.n, bin.confidence, *bin.right.value());
  }
  return text + "</svg>\n";
}

std::string alarms_table(const Evaluation& all) {
  std::string text =
      head({"sender class", "messages", "bot-*", "95 %", "at tempfail", "at reject"});
  for (const ClassAlarms& alarms : all.alarms) {
    const Interval interval = alarms.bot.wilson();
    text += fmt::format(
        "<tr>{}<td>{}</td><td>{}</td><td>{:.3f}–{:.3f}</td><td>{}</td><td>{}</td></tr>\n",
        cell(alarms.sender_class), alarms.bot.n, alarms.bot.hits, interval.low, interval.high,
        alarms.tempfail.hits, alarms.reject.hits);
  }
  return text.append(kEnd);
}

std::string official_list(const Evaluation& all) {
  if (all.official_alarms.empty()) return "<p>No official MTA has an alarm.</p>\n";
  std::string text = "<ul>\n";
  for (const Judged& one : all.official_alarms) {
    text += fmt::format("<li>{} #{} ({}): {}, score {:.1f}</li>\n", escaped(one.truth.file),
                        one.truth.message, escaped(one.truth.sender),
                        classifier::name(one.answer->pattern), one.answer->score);
  }
  return text + "</ul>\n";
}

std::string gait_mistakes_table(const std::vector<GaitMistake>& mistakes) {
  std::string text = head({"program", "gait", "messages"});
  for (const GaitMistake& mistake : mistakes) {
    text += fmt::format("<tr>{}{}<td>{}</td></tr>\n", cell(mistake.sender), cell(mistake.answer),
                        mistake.messages);
  }
  return text.append(kEnd);
}

std::string mistakes_list(const std::vector<Mistake>& mistakes) {
  std::string text = "<ol>\n";
  for (std::size_t i = 0; i < std::min(mistakes.size(), kWorstMistakes); ++i) {
    const Mistake& one = mistakes[i];
    text +=
        fmt::format("<li>{} #{} ({}, {}): <b>{}</b>, confidence {:.2f}<br><code>{}</code></li>\n",
                    escaped(one.truth.file), one.truth.message, escaped(one.truth.sender),
                    escaped(one.truth.link), escaped(print_mistake(one)), one.answer.confidence,
                    escaped(one.answer.trace));
  }
  text += "</ol>\n";
  if (mistakes.size() > kWorstMistakes) {
    text += fmt::format("<p>and {} more: --format json has them all.</p>\n",
                        mistakes.size() - kWorstMistakes);
  }
  return text;
}

std::string lost_list(const Evaluation& all) {
  std::string text = "<ul>\n";
  for (const TruthRow& row : all.missing) {
    text += fmt::format("<li>{} #{}: not found, counted as wrong</li>\n", escaped(row.file),
                        row.message);
  }
  for (const Extra& one : all.extra) {
    text += fmt::format("<li>{} #{}: not in the truth, answer {}</li>\n", escaped(one.file),
                        one.message, classifier::name(one.answer.pattern));
  }
  return text + "</ul>\n";
}

std::string calibration(const Calibration& calibration) {
  return "<p>Across: confidence claimed for the pattern. Up: share that was right.</p>\n" +
         reliability_plot(calibration);
}

std::string alarms(const Evaluation& all) {
  return alarms_table(all) + official_list(all);
}

}  // namespace

std::string print_html(const Evaluation& all) {
  constexpr Form kForm{figures_table, links_table,         confusion_table, calibration,
                       alarms,        gait_mistakes_table, mistakes_list,   lost_list};
  std::string text(kHead);
  text += fmt::format("<h1>segmilter evaluate: {} messages</h1>\n", all.messages);
  for (const auto& [title, content] : outline(all, kForm)) {
    text += fmt::format("<h2>{}</h2>\n{}", title, content);
  }
  return text + "</body></html>\n";
}

}  // namespace offline
