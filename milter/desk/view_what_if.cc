// Who would be refused with other thresholds, and the lines of the configuration for them.
#include <fmt/format.h>

#include <cmath>

#include "milter/desk/query.h"
#include "milter/desk/views.h"
#include "milter/page/page.h"
#include "milter/page/table.h"

namespace desk {
namespace {

using page::escape;

std::string print(double threshold) {
  return std::isfinite(threshold) ? fmt::format("{}", threshold) : "off";
}

std::string form(const Thresholds& thresholds, const history::Pairs& selection) {
  const auto field = [](std::string_view name, const std::string& value) {
    return fmt::format("<label>{0}<input name=\"{0}\" value=\"{1}\" size=\"8\"></label>\n",
                       escape(name), escape(value));
  };
  std::string html =
      "<form action=\"/what-if\">\n" + field("tempfail", print(thresholds.tempfail)) +
      field("quarantine", print(thresholds.quarantine)) + field("reject", print(thresholds.reject));
  for (const auto& [key, value] : selection) html += field(key, value);
  return html + "<button>Count</button>\n</form>\n";
}

std::string counts(const Estimate& estimate) {
  page::Table table("What the thresholds would do",
                    {{"action"}, {"messages", true}, {"share", true}});
  const auto accepted =
      estimate.messages -
      std::min(estimate.messages, estimate.tempfail + estimate.quarantine + estimate.reject);
  const auto row = [&](const char* name, std::uint64_t n) {
    table.add({name, number(n), per_cent(n, estimate.messages)});
  };
  row("accepted", accepted);
  row("deferred (tempfail)", estimate.tempfail);
  row("put on hold (quarantine)", estimate.quarantine);
  row("rejected (reject)", estimate.reject);
  return table.take();
}

// `key`: of the selection, so that a name leads to its messages.
std::string groups(std::string_view caption, const char* key, const std::vector<Group>& all,
                   const history::Pairs& selection, double lowest) {
  if (all.empty()) return "";
  page::Table table(caption, {{key}, {"messages", true}});
  for (const Group& group : all) {
    auto query = selection;
    std::erase_if(query, [key](const auto& pair) { return pair.key == key; });
    query.push_back({key, group.name});
    query.push_back({"min-score", print(lowest)});
    const bool is_known = group.name != "none" && !group.name.empty();
    table.add({is_known ? link_messages(query, page::foreign(group.name)) : "not known",
               number(group.sum.messages)});
  }
  return table.take();
}

std::string hardest(const Rows& rows) {
  if (rows.items.empty()) return "";
  page::Table table("The newest messages that would not be accepted",
                    {{"queue id"}, {"time"}, {"network"}, {"pattern"}, {"gait"}, {"score", true}});
  for (const auto& [row, picture] : rows.items) {
    const auto pattern = classifier::pattern_named(row.pattern);
    table.add({link_message(row), time(row.time()),
               row.network.empty() ? "not known" : page::foreign(row.network),
               pattern ? page::named(*pattern) : escape(row.pattern), page::foreign(row.gait),
               fmt::format("{:+.1f}", row.score)});
  }
  return table.take();
}

std::string setting(const char* key, double threshold) {
  return std::isfinite(threshold) ? fmt::format("{} = {}\n", key, threshold)
                                  : fmt::format("{} = \"off\"\n", key);
}

std::string settings(const Thresholds& thresholds) {
  return "<h2>The lines of the configuration</h2>\n<pre>[policy]\n" +
         setting("tempfail", thresholds.tempfail) + setting("quarantine", thresholds.quarantine) +
         setting("reject", thresholds.reject) +
         "</pre>\n<p>In /etc/segmilter/segmilter.toml; then <kbd>segmilter check</kbd> and "
         "<kbd>systemctl reload segmilter</kbd>. A section [listener.NAME] may have others.</p>\n";
}

}  // namespace

std::string view_what_if(const Estimate& estimate, const Thresholds& thresholds,
                         const history::Pairs& selection, const Context& context) {
  std::string html =
      "<p>What would have been done to the messages of the store with other thresholds, by the "
      "scores that they had. \"off\" switches a threshold off.</p>\n";
  html += form(thresholds, selection) + counts(estimate);
  const double lowest = std::min({thresholds.tempfail, thresholds.quarantine, thresholds.reject});
  html += "<h2>Who would not be accepted</h2>\n";
  if (estimate.networks.empty() && estimate.gaits.empty()) html += "<p>Nobody.</p>\n";
  html += groups("By network, most messages first", "client", estimate.networks, selection, lowest);
  html += groups("By gait", "gait", estimate.gaits, selection, lowest);
  html += groups("By pattern", "pattern", estimate.patterns, selection, lowest);
  html +=
      hardest(estimate.hardest) + settings(thresholds) + problems(estimate.problems) + age(context);
  return frame({"What if", "/what-if", html}, context);
}

}  // namespace desk
