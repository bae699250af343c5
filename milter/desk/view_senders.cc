// Who sends: by network, by gait, or by pattern.
#include <fmt/format.h>

#include "milter/desk/query.h"
#include "milter/desk/views.h"
#include "milter/page/page.h"
#include "milter/page/table.h"

namespace desk {
namespace {

using classifier::kPatterns;
using classifier::Pattern;

struct Choice {
  By by;
  const char* word;  // in the URL
  const char* name;
  const char* key;  // of the selection
};
constexpr Choice kChoices[] = {{By::Network, "net", "network", "client"},
                               {By::Gait, "gait", "gait", "gait"},
                               {By::Pattern, "pattern", "pattern", "pattern"}};

const Choice& choice_of(By by) {
  return kChoices[static_cast<std::size_t>(by)];
}

std::string choices(By by) {
  std::string html = "<nav aria-label=\"Grouped by\">";
  for (const auto& choice : kChoices) {
    html += fmt::format("<a href=\"/senders?by={}\"{}>by {}</a>", choice.word,
                        choice.by == by ? " aria-current=\"page\"" : "", choice.name);
  }
  return html + "</nav>\n";
}

// "official-mta 12, mobile 3", most first.
std::string mix(const PatternCounts& patterns) {
  std::string html;
  PatternCounts left = patterns;
  constexpr int kMost = 3;
  for (int i = 0; i < kMost; ++i) {
    std::size_t most = 0;
    for (std::size_t j = 1; j < kPatterns; ++j) {
      if (left[j] > left[most]) most = j;
    }
    if (left[most] == 0) break;
    html += fmt::format("{}{} {}", html.empty() ? "" : ", ",
                        page::named(static_cast<Pattern>(most)), number(left[most]));
    left[most] = 0;
  }
  return html;
}

std::uint64_t bots(const PatternCounts& patterns) {
  return patterns[static_cast<std::size_t>(Pattern::BotTemplate)] +
         patterns[static_cast<std::size_t>(Pattern::BotHeadersApart)];
}

std::string name_of(const Group& group, const Choice& choice) {
  if (group.name == "none" || group.name.empty()) return "not known";
  return link_messages({{choice.key, group.name}}, page::foreign(group.name));
}

}  // namespace

std::string view_senders(const Overview& overview, By by, const Context& context) {
  const auto& choice = choice_of(by);
  const auto& groups = by == By::Network ? overview.networks
                       : by == By::Gait  ? overview.gaits
                                         : overview.patterns;
  page::Table table(fmt::format("Last 48 hours, by {}; most messages first", choice.name),
                    {{choice.name},
                     {"first seen"},
                     {"last seen"},
                     {"messages", true},
                     {"patterns"},
                     {"share of bots", true},
                     {"the score asked to refuse", true}});
  for (const Group& group : groups) {
    table.add({name_of(group, choice), time(group.first), time(group.last),
               number(group.sum.messages), mix(group.patterns),
               per_cent(bots(group.patterns), group.sum.messages), number(group.sum.asked)});
  }
  std::string html = choices(by);
  html += groups.empty() ? "<p>The store has no message of the last 48 hours.</p>\n" : table.take();
  if (by == By::Network && overview.distinct_networks > groups.size()) {
    html += fmt::format("<p>The other {}{} networks sent less each.</p>\n",
                        overview.networks_are_full ? "at least " : "",
                        number(overview.distinct_networks - groups.size()));
  }
  if (by != By::Network) {
    html +=
        "<p class=\"soft\">First and last seen are the beginnings of the quarter of an hour.</p>\n";
  }
  html += fmt::format("<p class=\"pages\">{} {}</p>\n",
                      link("/senders.csv", {{"by", choice.word}}, "These rows as CSV"),
                      link("/senders.json", {{"by", choice.word}}, "as JSON"));
  html += problems(overview.problems) + age(context);
  return frame({"Senders", "/senders", html}, context);
}

}  // namespace desk
