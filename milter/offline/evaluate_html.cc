// The HTML page of an evaluation. All text that comes from a file (names, traces) is escaped. The
// page has no script and loads nothing, so that it can be sent to others and opened anywhere.
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "classifier/trace_text.h"
#include "milter/offline/evaluate_report.h"
#include "milter/page/drawing.h"
#include "milter/page/page.h"

namespace offline {
namespace {

using page::escape;
using page::kPageEnd;
using page::page_begin;
using page::picture;

std::string cell(std::string_view text) {
  return fmt::format("<td>{}</td>", escape(text));
}

// The head of a table. All columns but the first hold numbers, or "-" where there is no number.
std::string head(std::initializer_list<std::string_view> names) {
  std::string text =
      "<div class=\"scroll\" tabindex=\"0\" role=\"region\" "
      "aria-label=\"table\"><table><thead><tr>";
  for (const auto name : names) text += fmt::format("<th scope=\"col\">{}</th>", name);
  return text + "</tr></thead><tbody>\n";
}

constexpr std::string_view kEnd = "</tbody></table></div>\n";

// A figure's name for a postmaster. Figures that are not in the table keep their own name.
std::string_view plain_name(const Figure& figure) {
  struct Row {
    std::string_view name;
    std::string_view plain;
  };
  constexpr Row kRows[] = {
      {"writer_f1_clean", "How the program writes, on links without loss"},
      {"writer_f1", "How the program writes, on all links"},
      {"path_f1", "How the network changed the segments"},
      {"pattern_f1", "The pattern, if each pattern has the same weight"},
      {"pattern_right", "The pattern, if each message has the same weight"},
      {"one_segment", "Messages of one segment, which do not show how they were written"},
      {"block_right", "The block size of programs that write blocks"},
      {"gait_elsewhere", "The program's name, on links where it was not learned"},
      {"gait_right", "The program's name, on all links"},
      {"gait_wrong", "Names of programs that did not send the message"},
      {"gait_wrong_left_out", "Names given to a program that was never learned"},
      {"class_right", "The program's class, if no name is given"},
      {"tls_writer_f1", "Under TLS: how the program writes"},
      {"tls_path_f1", "Under TLS: how the network changed the segments"},
      {"tls_pattern_f1", "Under TLS: the pattern"},
      {"twin_pattern_f1", "The pattern of the same programs without TLS"},
      {"official_bot", "Mail servers' messages that were labelled as a bot's"},
      {"official_tempfail", "Mail servers' messages that would be deferred"},
      {"official_reject", "Mail servers' messages that would be rejected"},
      {"ece", "The difference between the claimed confidence and the truth"},
      {"missing", "Messages that were not found"},
      {"extra", "Messages that the table does not list"},
  };
  for (const auto& [name, plain] : kRows) {
    if (figure.name == name) return plain;
  }
  return figure.what;
}

std::string figures_table(const std::vector<Figure>& figures) {
  std::string text = head({"figure", "value", "95 % interval", "messages", "target", ""});
  for (const Figure& figure : figures) {
    const bool judged = figure.target && figure.value;
    text += fmt::format(
        "<tr><th scope=\"row\">{}<br><span class=\"soft\">{}</span></th>{}{}<td>{}</td>{}<td "
        "class=\"{}\">{}</td></tr>\n",
        escape(plain_name(figure)), escape(figure.what), cell(print_value(figure)),
        cell(print_interval(figure)), figure.n, cell(print_target(figure)),
        figure.met() ? "met" : "missed",
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

// The shade of a cell grows with the share of the row's messages that it has.
std::string_view shade(bool right, double share) {
  constexpr std::string_view kRight[] = {"right1", "right2", "right3"};
  constexpr std::string_view kWrong[] = {"wrong1 missed", "wrong2 missed", "wrong3 missed"};
  const std::size_t step = share < 1.0 / 3 ? 0 : share < 2.0 / 3 ? 1 : 2;
  return right ? kRight[step] : kWrong[step];
}

std::string confusion_row(const Confusion& confusion, int truth, std::string_view name) {
  const int classes = static_cast<int>(confusion.names().size());
  std::size_t all = 0;
  for (int answer = Confusion::kNone; answer < classes; ++answer) {
    all += confusion.at(truth, answer);
  }
  if (all == 0) return {};
  std::string text = fmt::format("<tr><th scope=\"row\">{}</th>", escape(name));
  for (int answer = Confusion::kNone; answer < classes; ++answer) {
    const std::size_t count = confusion.at(truth, answer);
    const double share = static_cast<double>(count) / static_cast<double>(all);
    text += count == 0
                ? std::string("<td></td>")
                : fmt::format("<td class=\"{}\">{}</td>", shade(truth == answer, share), count);
  }
  return text + fmt::format("<td>{}</td></tr>\n", all);
}

std::string confusion_table(const Confusion& confusion) {
  const int classes = static_cast<int>(confusion.names().size());
  const auto name = [&](int i, std::string_view none) {
    return i == Confusion::kNone ? none
                                 : std::string_view(confusion.names()[static_cast<std::size_t>(i)]);
  };
  std::string text = head({"truth (down), answer (across)"});
  text.resize(text.rfind("</tr></thead>"));
  for (int answer = Confusion::kNone; answer < classes; ++answer) {
    text += fmt::format("<th scope=\"col\" class=\"tall\">{}</th>", name(answer, "(not found)"));
  }
  text += "<th scope=\"col\">messages</th></tr></thead><tbody>\n";
  for (int truth = Confusion::kNone; truth < classes; ++truth) {
    text += confusion_row(confusion, truth, name(truth, "(not in the truth)"));
  }
  return text.append(kEnd);
}

// A plot of the claimed confidence (x) and the share of right answers (y). On the diagonal both are
// equal. A bar shows the 95 % interval, the size of a point shows the share of messages.
std::string reliability_plot(const Calibration& calibration) {
  constexpr double kSide = 320;
  constexpr double kEdge = 40;
  const auto x = [](double value) { return kEdge + value * kSide; };
  const auto y = [](double value) { return 10 + (1 - value) * kSide; };
  std::string text = fmt::format(
      "<svg class=\"square\" viewBox=\"0 0 {0} {0}\" role=\"img\" aria-label=\"claimed confidence "
      "and share of right answers; the table has the same numbers\"><rect class=\"plot\" "
      "x=\"{1}\" y=\"{2}\" width=\"{3}\" height=\"{3}\"/><line class=\"plot\" x1=\"{1}\" "
      "y1=\"{4}\" x2=\"{5}\" y2=\"{2}\" stroke-dasharray=\"4\"/>\n",
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
        "<line x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\" class=\"point\"/>"
        "<circle cx=\"{0:.1f}\" cy=\"{3:.1f}\" r=\"{4:.1f}\" class=\"point\">"
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
  if (all.official_alarms.empty()) return "<p>No message of an official MTA has an alarm.</p>\n";
  std::string text = "<ul>\n";
  for (const Judged& one : all.official_alarms) {
    text += fmt::format("<li>{} #{} ({}): {}, score {:.1f}</li>\n", escape(one.truth.file),
                        one.truth.message, escape(one.truth.sender),
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

// The picture of a trace. Empty if the trace exceeds the notation's limits (TraceLimits): it can be
// printed then, but not parsed.
std::string drawn(const std::string& notation) {
  const auto parsed = classifier::parse_trace(notation);
  const auto* trace = std::get_if<classifier::Trace>(&parsed);
  return trace == nullptr ? std::string() : picture(*trace, classifier::classify(*trace, {}));
}

std::string mistakes_list(const std::vector<Mistake>& mistakes) {
  std::string text = "<ol>\n";
  for (std::size_t i = 0; i < std::min(mistakes.size(), kWorstMistakes); ++i) {
    const Mistake& one = mistakes[i];
    text += fmt::format(
        "<li>{} #{} ({}, {}): <b>{}</b>, confidence {:.2f}{}<details><summary>trace</summary>"
        "<code>{}</code></details></li>\n",
        escape(one.truth.file), one.truth.message, escape(one.truth.sender), escape(one.truth.link),
        escape(print_mistake(one)), one.answer.confidence, drawn(one.answer.trace),
        escape(one.answer.trace));
  }
  text += "</ol>\n";
  if (mistakes.size() > kWorstMistakes) {
    text += fmt::format("<p>There are {} more; --format json prints all of them.</p>\n",
                        mistakes.size() - kWorstMistakes);
  }
  return text;
}

std::string lost_list(const Evaluation& all) {
  std::string text = "<ul>\n";
  for (const TruthRow& row : all.missing) {
    text += fmt::format("<li>{} #{}: was not found and counts as wrong</li>\n", escape(row.file),
                        row.message);
  }
  for (const Extra& one : all.extra) {
    text += fmt::format("<li>{} #{}: is not in the truth; answer {}</li>\n", escape(one.file),
                        one.message, classifier::name(one.answer.pattern));
  }
  return text + "</ul>\n";
}

std::string calibration_table(const Calibration& calibration) {
  std::string text =
      head({"claimed confidence", "share of right answers", "95 % interval", "messages"});
  for (const auto& bin : calibration.bins()) {
    if (bin.right.n == 0) continue;
    const Interval interval = bin.right.wilson();
    text +=
        fmt::format("<tr><td>{:.3f}</td>{}<td>{:.3f}–{:.3f}</td><td>{}</td></tr>\n", bin.confidence,
                    cell(print_ratio(bin.right.value())), interval.low, interval.high, bin.right.n);
  }
  return text.append(kEnd);
}

std::string calibration(const Calibration& calibration) {
  return "<p>Horizontal axis: the confidence that was claimed for the pattern. Vertical axis: the "
         "share of right answers. On the dashed line both are equal.</p>\n" +
         reliability_plot(calibration) + calibration_table(calibration);
}

std::string alarms(const Evaluation& all) {
  return alarms_table(all) + official_list(all);
}

std::string percent(const Rate& rate) {
  const auto value = rate.value();
  return value ? fmt::format(" ({:.1f} %)", 100 * *value) : std::string();
}

// The sender class on which false alarms cost most.
constexpr std::string_view kServers = "official-mta";

// A summary: what a postmaster wants to know first.
std::string in_short(const Evaluation& all) {
  const Rate right = all.clear.pattern.accuracy();
  std::string text = fmt::format(
      "<p>Of {} messages in clear whose sender is known, {} were given the "
      "right pattern{}. ",
      right.n, right.hits, percent(right));
  const auto servers = std::find_if(all.alarms.begin(), all.alarms.end(),
                                    [](const auto& one) { return one.sender_class == kServers; });
  if (servers == all.alarms.end()) {
    text +=
        "No message comes from a mail server (sender class official-mta), so the number of false "
        "alarms on mail servers is not known. ";
  } else {
    text += fmt::format(
        "Of {} messages from mail servers (such as Postfix, Exim and Sendmail), {} "
        "were labelled as a bot's, and {} would be rejected. ",
        servers->bot.n, servers->bot.hits, servers->reject.hits);
  }
  const auto ece = all.clear.calibration.ece();
  return text +
         (ece ? fmt::format("The confidence that segmilter claims differs from the share of right "
                            "answers by {:.1f} percentage points on average.</p>\n",
                            100 * *ece)
              : std::string("There are no messages with which the claimed confidence could be "
                            "compared.</p>\n"));
}

constexpr std::string_view kTerms = R"(<h2 id="terms">What the words mean</h2>
<dl class="terms">
<dt>truth, answer</dt><dd>The truth is what the table says about a message; the answer is what segmilter says about it.</dd>
<dt>pattern, writer, path, block</dt><dd>The pattern is the label of the whole message. The writer is the way in which the program writes, the path is how the network changed the segments, and the block is the size of the program's writes.</dd>
<dt>gait</dt><dd>The name of the program, if segmilter knows the program by the way in which it writes and talks.</dd>
<dt>right (accuracy)</dt><dd>The share of messages whose answer the truth accepts.</dd>
<dt>F1, macro-F1</dt><dd>F1 is measured for one label and combines two shares: how many of the messages that should have the label got it (recall), and how many of the messages that got it should have it (precision). F1 is their harmonic mean. Macro-F1 is the mean of the F1 of all labels, so that a rare label counts as much as a common one.</dd>
<dt>95 % interval</dt><dd>The range in which the true share probably lies, given the number of messages. Few messages make it wide.</dd>
<dt>confidence, calibration error (ECE)</dt><dd>The confidence is how sure segmilter claims to be. The calibration error is the average difference between the confidence and the share of right answers.</dd>
<dt>MTA, official MTA</dt><dd>An MTA is a mail server. Official MTAs are the well-known ones, such as Postfix, Exim and Sendmail.</dd>
<dt>alarm</dt><dd>A message that should not be suspected, but is labelled as a bot's or has a score at a threshold.</dd>
<dt>tempfail, reject</dt><dd>The thresholds in the configuration: mail with this score or a higher one is deferred or rejected.</dd>
<dt>link</dt><dd>The network between the sender and the server in the recordings. The recordings' README explains each name.</dd>
</dl>
)";

}  // namespace

std::string print_html(const Evaluation& all) {
  constexpr Form kForm{figures_table, links_table,         confusion_table, calibration,
                       alarms,        gait_mistakes_table, mistakes_list,   lost_list};
  std::string text = page_begin("segmilter evaluate");
  text += fmt::format("<h1>How right segmilter is: {} messages</h1>\n", all.messages);
  text += in_short(all) + "<p><a href=\"#terms\">What the words mean</a></p>\n";
  for (const auto& [title, content] : outline(all, kForm)) {
    text += fmt::format("<h2>{}</h2>\n{}", title, content);
  }
  return text.append(kTerms).append(kPageEnd);
}

}  // namespace offline
