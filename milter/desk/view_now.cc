// The first page: is all well, what came in 48 hours, and what has changed.
#include <fmt/format.h>

#include <algorithm>

#include "milter/desk/views.h"
#include "milter/history/print.h"
#include "milter/page/bars.h"
#include "milter/page/page.h"
#include "milter/page/table.h"

namespace desk {
namespace {

using classifier::kPatterns;
using classifier::Pattern;
using std::chrono::hours;

constexpr std::size_t kBinsAnHour = hours(1) / Overview::kBin;

// Patterns that occurred and have one colour are one kind.
std::vector<page::Kind> kinds_of(const Overview& overview) {
  std::vector<page::Kind> kinds;
  for (std::size_t colour = page::kBarColours; colour-- > 0;) {
    std::string name;
    for (const Group& group : overview.patterns) {
      const auto pattern = classifier::pattern_named(group.name);
      if (!pattern || page::colour_of(*pattern) != colour) continue;
      name += (name.empty() ? "" : ", ") + group.name;
    }
    if (!name.empty()) kinds.push_back({name, colour});
  }
  return kinds;
}

std::string chart(const Overview& overview) {
  page::Bars bars{.key = "patterns",
                  .title = "Messages by pattern, last 48 hours",
                  .description = "15 minutes a bar; the tables below have the same numbers",
                  .kinds = kinds_of(overview),
                  .bars = {}};
  for (std::size_t bin = 0; bin < Overview::kBins; ++bin) {
    constexpr std::size_t kToMinutes = 16;  // "2026-11-27T07:00"
    const auto begin = history::print_time(overview.begin + bin * Overview::kBin);
    page::Bar bar{begin.substr(0, kToMinutes) + "Z", {}};
    for (const auto& kind : bars.kinds) {
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < kPatterns; ++i) {
        const bool is_of_it = page::colour_of(static_cast<Pattern>(i)) == kind.colour;
        if (is_of_it) sum += overview.bins[bin][i];
      }
      bar.parts.push_back(sum);
    }
    bars.bars.push_back(std::move(bar));
  }
  return page::draw(bars) + page::legend(bars);
}

std::string patterns(const Overview& overview) {
  page::Table table("Last 48 hours, by pattern", {{"pattern"},
                                                  {"messages", true},
                                                  {"share", true},
                                                  {"refused", true},
                                                  {"the score asked to refuse", true}});
  for (const Group& group : overview.patterns) {
    const auto pattern = classifier::pattern_named(group.name).value_or(Pattern::Unobserved);
    const history::Pairs query{{"pattern", group.name}};
    const auto with = [&query](const char* key) {
      auto pairs = query;
      pairs.push_back({key, "tempfail,reject"});
      return pairs;
    };
    table.add({link_messages(query, page::named(pattern)), number(group.sum.messages),
               per_cent(group.sum.messages, overview.all.messages),
               link_messages(with("action"), number(group.sum.refused)),
               link_messages(with("would"), number(group.sum.asked))});
  }
  return table.take();
}

// The numbers of the chart, an hour a row; only patterns that occurred have a column.
std::string by_hour(const Overview& overview) {
  std::vector<page::Column> columns{{"hour"}, {"all", true}};
  std::vector<std::size_t> shown;
  for (const Group& group : overview.patterns) {
    const auto pattern = classifier::pattern_named(group.name);
    if (!pattern) continue;
    shown.push_back(static_cast<std::size_t>(*pattern));
    columns.push_back({classifier::name(*pattern), true});
  }
  page::Table table("Messages by hour and pattern", columns);
  for (std::size_t bin = Overview::kBins; bin >= kBinsAnHour;) {
    bin -= kBinsAnHour;
    PatternCounts sum{};
    for (std::size_t i = 0; i < kBinsAnHour * kPatterns; ++i) {
      sum[i % kPatterns] += overview.bins[bin + i / kPatterns][i % kPatterns];
    }
    std::uint64_t all = 0;
    for (const auto count : sum) all += count;
    const Time begin = overview.begin + bin * Overview::kBin;
    std::vector<std::string> cells{time(begin), number(all)};
    for (const auto pattern : shown) cells.push_back(number(sum[pattern]));
    table.add(cells);
  }
  return "<details><summary>The numbers of the chart, by hour</summary>\n" + table.take() +
         "</details>\n";
}

std::string what_changed(const Overview& overview) {
  const auto all = changes(overview);
  if (all.empty()) {
    return "<p>No pattern has three times the share in the last hour that it had in the hours "
           "before.</p>\n";
  }
  std::string html = "<ul>\n";
  for (const Change& change : all) {
    html += fmt::format(
        "<li>{}: {} messages in the last hour, {:.1f} % of all; before: {:.1f} %</li>\n",
        link_messages({{"pattern", std::string(classifier::name(change.pattern))}, {"since", "1h"}},
                      page::named(change.pattern)),
        number(change.last_hour), 100 * change.share, 100 * change.share_before);
  }
  return html + "</ul>\n";
}

}  // namespace

std::string health_line(const Overview* overview, const Context& context) {
  const auto bad = complaints(overview, context);
  if (bad.empty()) {
    return "<p class=\"note good\"><strong class=\"good\">No problem is known.</strong> " +
           link("/health", {}, "Health") + " has the numbers.</p>\n";
  }
  return fmt::format("<p class=\"note bad\"><strong class=\"bad\">{}</strong> {}</p>\n",
                     page::escape(bad.front()),
                     link("/health", {},
                          bad.size() == 1 ? std::string("Health")
                                          : fmt::format("{} more under Health", bad.size() - 1)));
}

std::string view_now(const Overview& overview, const Context& context) {
  std::string html = health_line(&overview, context);
  html += facts({{"messages in 48 hours", number(overview.all.messages)},
                 {"networks", number(overview.distinct_networks)},
                 {"refused", number(overview.all.refused)},
                 {"the score asked to refuse", number(overview.all.asked)}});
  html += "<figure>\n" + chart(overview) + "<figcaption>\n" + patterns(overview) +
          "</figcaption></figure>\n" + by_hour(overview);
  html += "<h2>What has changed</h2>\n" + what_changed(overview);
  html += problems(overview.problems) + age(context);
  return frame({"Now", "/", html}, context);
}

}  // namespace desk
