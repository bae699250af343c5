// One message: how it was sent, why it has its label, and what was done.
#include <fmt/format.h>

#include <algorithm>

#include "classifier/trace_text.h"
#include "milter/desk/views.h"
#include "milter/filter/header.h"
#include "milter/history/explain.h"
#include "milter/page/drawing.h"
#include "milter/page/page.h"
#include "milter/page/table.h"

namespace desk {
namespace {

using history::Explanation;
using history::Row;
using page::escape;

constexpr std::size_t kMostListed = 200;  // segments and writes in the table

std::string shape(const memory::HeloShape& helo) {
  if (helo.literal) return "an address in brackets";
  if (helo.confirmed) return "the confirmed name of its address";
  return helo.dotless ? "one word without a dot" : "a name with dots";
}

std::string client(const Row& row) {
  if (!row.address.empty()) {
    return page::foreign(row.port ? fmt::format("{} port {}", row.address, *row.port)
                                  : row.address);
  }
  return row.network.empty() ? "not known" : page::foreign(row.network);
}

std::string facts_of(const Row& row) {
  const auto optional = [](std::uint64_t n) { return n == 0 ? std::string() : number(n); };
  return facts({{"time", time(row.time())},
                {"client", client(row)},
                {"EHLO name", shape(row.helo)},
                {"TLS", row.tls ? "yes" : "no"},
                {"size", number(row.size) + " bytes"},
                {"writer", escape(row.writer)},
                {"path", escape(row.path)},
                {"block", optional(row.block)},
                {"mss", optional(row.mss)},
                {"gait", page::foreign(row.gait)},
                {"class", escape(row.unnamed_class())},
                {"confidence", fmt::format("{:.2f}", row.confidence)},
                {"seen by", escape(row.via)},
                {"evidence", escape(row.state)},
                {"reason", row.reason == "none" ? "" : escape(row.reason)},
                {"listener", row.listener.empty() ? "" : page::foreign(row.listener)}});
}

std::string reasons(const Row& row, const Explanation& why) {
  page::Table table("Each sign and its part of the score", {{"sign"}, {"part of the score", true}});
  std::string others;
  for (const auto& [sentence, part] : why.reasons) {
    if (part) {
      table.add({page::foreign(sentence), fmt::format("{:+.1f}", *part)});
    } else {
      others += "<li>" + page::foreign(sentence) + "</li>\n";
    }
  }
  constexpr double kShown = 0.05;  // the first digit that is printed
  if (std::abs(why.rest) >= kShown) {
    table.add(
        {"rounding, and signs that the store does not have", fmt::format("{:+.1f}", why.rest)});
  }
  table.add({"<strong>the score</strong>", fmt::format("<strong>{:+.1f}</strong>", row.score)});
  std::string html = "<h2>Why</h2>\n" + table.take();
  if (why.is_judged_otherwise) {
    html +=
        "<p class=\"note\">The version that runs now would give this message another label. The "
        "sentences below are those of this version.</p>\n";
  }
  if (!others.empty()) html += "<p>What the label was made of:</p>\n<ul>\n" + others + "</ul>\n";
  return html;
}

std::string sizes(const classifier::Trace& trace, const classifier::Verdict& verdict) {
  page::Table table("Segments and writes in order",
                    {{"number", true}, {"segment, bytes", true}, {"write, bytes", true}});
  const auto rows = std::max(trace.segments.size(), verdict.writes.size());
  for (std::size_t i = 0; i < std::min(rows, kMostListed); ++i) {
    table.add({fmt::format("{}", i + 1),
               i < trace.segments.size() ? number(trace.segments[i].size) : std::string(),
               i < verdict.writes.size() ? number(verdict.writes[i]) : std::string()});
  }
  std::string html = "<details><summary>Segments and writes as a table</summary>\n" + table.take();
  if (rows > kMostListed) html += fmt::format("<p>And {} more.</p>\n", rows - kMostListed);
  return html + "</details>\n";
}

std::string drawing(const Explanation& why) {
  if (!why.trace || why.trace->segments.empty()) {
    return "<p>No segment of this message was seen, or its trace cannot be read any more.</p>\n";
  }
  return "<h2>How it was sent</h2>\n<figure>\n" + page::picture(*why.trace, why.verdict) +
         "<figcaption>Upper row: TCP segments; lower row: the writes of the program, as recovered. "
         "Dashed lines are landmarks of the message.</figcaption></figure>\n" +
         sizes(*why.trace, why.verdict);
}

// The header field as this configuration would write it. A seal is not made again.
std::string header(const Row& row, const Explanation& why, const Context& context) {
  if (!why.trace) return "";
  auto value = filter::header_value(context.config.general.hostname, *why.trace, why.verdict,
                                    why.decision, row.tls, context.config.header.max_runs);
  std::replace(value.begin(), value.end(), '\t', ' ');
  return fmt::format(
      "<h2>The header field</h2>\n<p class=\"soft\">Made again from the store, with the hostname "
      "of the configuration, without a seal and the terms of the reputation.</p>\n<pre>{}: "
      "{}</pre>\n",
      filter::kHeaderName, [&value] {
        std::string lines;
        for (const char c : value) lines += c == '\n' ? std::string("\n") : escape({&c, 1});
        return lines;
      }());
}

std::string trace(const Row& row) {
  if (row.trace.empty()) return "";
  return fmt::format(
      "<h2>The trace</h2>\n<p class=\"soft\">In a file, <kbd>segmilter classify FILE</kbd> judges "
      "it again.</p>\n<pre>{}</pre>\n",
      escape(row.trace));
}

std::string others(const Rows& rows) {
  const Row& row = rows.items.front().row;
  std::string html = "<h2>Similar messages</h2>\n<ul>\n";
  const auto item = [&html](const history::Pairs& query, std::string_view text) {
    html += "<li>" + link_messages(query, text) + "</li>\n";
  };
  if (!row.network.empty()) item({{"client", row.network}}, "from the same network");
  if (!row.gait.empty() && row.gait != "unknown") item({{"gait", row.gait}}, "with the same gait");
  item({{"pattern", row.pattern}, {"writer", row.writer}, {"path", row.path}},
       "with the same pattern, writer and path");
  for (std::size_t i = 1; i < rows.items.size(); ++i) {
    html += fmt::format("<li>another message with this queue id, {}: {}</li>\n",
                        time(rows.items[i].row.time()), link_message(rows.items[i].row));
  }
  return html + "</ul>\n";
}

}  // namespace

std::string view_message(const Rows& rows, const Context& context) {
  const Row& row = rows.items.front().row;
  const Explanation why = history::explain(row, context.config.policy);
  const auto pattern = classifier::pattern_named(row.pattern);
  std::string html =
      fmt::format("<p><strong>{}</strong>{}, score {:+.1f}: {}.</p>\n",
                  pattern ? page::named(*pattern) : escape(row.pattern),
                  pattern ? fmt::format(": {}", page::in_words(*pattern)) : "", row.score,
                  escape(history::outcome(why.decision, history::basis_of(row))));
  if (row.weight > 1) {
    html += fmt::format("<p class=\"note\">The store kept one message of {} like this one.</p>\n",
                        row.weight);
  }
  html += facts_of(row) + drawing(why) + reasons(row, why) + header(row, why, context);
  html += trace(row) + others(rows) + problems(rows.problems);
  const auto title = "Message " + (row.queue_id.empty() ? "without a queue id" : row.queue_id);
  return frame({title, "/messages", html}, context);
}

}  // namespace desk
