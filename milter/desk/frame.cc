#include "milter/desk/frame.h"

#include <fmt/format.h>

#include <algorithm>

#include "milter/desk/query.h"
#include "milter/page/page.h"
#include "milter/time/rfc3339.h"

namespace desk {
namespace {

using page::escape;

struct View {
  std::string_view path;
  std::string_view name;
};
constexpr View kViews[] = {{"/", "Now"},
                           {"/messages", "Messages"},
                           {"/senders", "Senders"},
                           {"/what-if", "What if"},
                           {"/health", "Health"}};

std::string navigation(std::string_view view) {
  std::string html = "<nav aria-label=\"Views\">";
  for (const auto& [path, name] : kViews) {
    html += fmt::format("<a href=\"{}\"{}>{}</a>", path,
                        path == view ? " aria-current=\"page\"" : "", name);
  }
  return html + "</nav>";
}

std::string host(const Context& context) {
  const auto& name = context.config.general.hostname;
  return name.empty() ? std::string() : page::foreign(name);
}

std::string head(std::string_view title, std::string_view refresh) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">{}\n<title>{} - segmilter</title>\n<link "
      "rel=\"stylesheet\" href=\"{}\">\n<script src=\"{}\" defer></script></head>\n",
      refresh, escape(title), kStylePath, kScriptPath);
}

std::string body(const Page& page, const Context& context) {
  return fmt::format(
      "<body>\n<a class=\"skip\" href=\"#main\">Skip to the content</a>\n<header><strong>segmilter"
      "</strong> <span>{}</span>{}</header>\n<main id=\"main\">\n<h1>{}</h1>\n{}</main>\n<footer>"
      "<p>All times are UTC. A pattern says which kind of program sent a message over which kind "
      "of path; it does not say that the message is spam. {} has the counters for Prometheus.</p>"
      "</footer>\n</body></html>\n",
      host(context), navigation(page.view), escape(page.title), page.body,
      link("/metrics", {}, "/metrics"));
}

}  // namespace

std::string frame(const Page& page, const Context& context) {
  return head(page.title, "") + body(page, context);
}

std::string notice(std::string_view title, std::string_view text, const Context& context) {
  return frame({title, "", fmt::format("<p class=\"note\">{}</p>\n", escape(text))}, context);
}

std::string patience(std::string_view view, const Context& context) {
  const Page page{"One moment", view,
                  "<p class=\"note\">The store has many messages and is being searched. This page "
                  "asks again each second.</p>\n"};
  return head(page.title, "\n<meta http-equiv=\"refresh\" content=\"1\">") + body(page, context);
}

std::string link(std::string_view path, const history::Pairs& query, std::string_view text) {
  return fmt::format("<a href=\"{}\">{}</a>", escape(percent_encoded(path) + print_query(query)),
                     text);
}

std::string link_messages(const history::Pairs& query, std::string_view text) {
  auto pairs = query;
  const bool has_begin = std::any_of(pairs.begin(), pairs.end(), [](const auto& pair) {
    return pair.key == "since" || pair.key == "from";
  });
  if (!has_begin) pairs.push_back({"since", "48h"});
  return link("/messages", pairs, text);
}

// A message of which only the network is left no longer has a queue id.
std::string link_message(const history::Row& row) {
  const auto id = row.queue_id.empty() ? std::string("-") : row.queue_id;
  return link("/messages/" + id, {{"at", print(row.at)}},
              row.queue_id.empty() ? "no id" : escape(row.queue_id));
}

std::string time(history::Time time) {
  constexpr std::uint64_t kNsPerMs = 1'000'000;
  const auto ms = std::max<std::int64_t>(time.time_since_epoch().count(), 0);
  const auto text = rfc3339::print_time(static_cast<std::uint64_t>(ms) * kNsPerMs);
  constexpr std::size_t kToSeconds = 19;  // "2026-11-27T07:00:00"
  return page::time_element(text.substr(0, kToSeconds) + "Z");
}

std::string number(std::uint64_t n) {
  auto digits = std::to_string(n);
  constexpr std::size_t kGroup = 3;
  for (std::size_t at = digits.size(); at > kGroup;) digits.insert(at -= kGroup, ",");
  return digits;
}

std::string per_cent(std::uint64_t part, std::uint64_t all) {
  if (all == 0) return "-";
  return fmt::format("<span class=\"whole\">{:.1f} %</span>",
                     100.0 * static_cast<double>(part) / static_cast<double>(all));
}

std::string age(const Context& context) {
  return fmt::format("<p class=\"soft\">Counted {}.</p>\n",
                     context.age < 2     ? "just now"
                     : context.age < 120 ? fmt::format("{} seconds ago", context.age)
                                         : fmt::format("{} minutes ago", context.age / 60));
}

std::string problems(const std::vector<std::string>& problems) {
  std::string html;
  for (const auto& problem : problems) {
    html += fmt::format("<p class=\"note bad\">{}</p>\n", page::foreign(problem));
  }
  return html;
}

std::string facts(const std::vector<Fact>& facts) {
  std::string html = "<dl class=\"facts\">";
  for (const auto& [name, value] : facts) {
    if (!value.empty()) html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>", name, value);
  }
  return html + "</dl>\n";
}

}  // namespace desk
