// Rows of the history, and a form for what is selected.
#include <fmt/format.h>

#include <algorithm>
#include <span>

#include "classifier/enum_names.h"
#include "milter/desk/query.h"
#include "milter/desk/views.h"
#include "milter/page/page.h"
#include "milter/page/table.h"

namespace desk {
namespace {

using history::Pairs;
using page::escape;

std::string value_of(const Pairs& query, std::string_view key) {
  const auto found =
      std::find_if(query.begin(), query.end(), [key](const auto& pair) { return pair.key == key; });
  return found == query.end() ? std::string() : found->value;
}

// A list to choose from. If the request's value is not in it (several values, "!"), it is added.
std::string choose(const Pairs& query, std::string_view key, std::string_view label,
                   std::span<const std::string_view> names) {
  const auto now = value_of(query, key);
  std::string html =
      fmt::format("<label>{}<select name=\"{}\"><option value=\"\">any</option>", label, key);
  const auto option = [&](std::string_view name) {
    html += fmt::format("<option{}>{}</option>", name == now ? " selected" : "", escape(name));
  };
  for (const auto name : names) option(name);
  const bool is_other = !now.empty() && std::find(names.begin(), names.end(), now) == names.end();
  if (is_other) option(now);
  return html + "</select></label>\n";
}

std::string field(const Pairs& query, std::string_view key, std::string_view label, int size) {
  return fmt::format("<label>{}<input name=\"{}\" value=\"{}\" size=\"{}\"></label>\n", label, key,
                     escape(value_of(query, key)), size);
}

constexpr std::string_view kActions[] = {"none", "tempfail", "quarantine", "reject"};
constexpr std::string_view kInTheForm[] = {"pattern", "action", "would",     "client",
                                           "gait",    "since",  "min-score", "queue-id"};

std::string form(const Pairs& query) {
  std::string html = "<form action=\"/messages\" role=\"search\">\n";
  html += choose(query, "pattern", "pattern", classifier::kPatternNames);
  html += choose(query, "action", "was done", kActions);
  html += choose(query, "would", "score asked for", kActions);
  html += field(query, "client", "client or network", 16);
  html += field(query, "gait", "gait", 10);
  html += field(query, "since", "since (15m, 48h, 14d)", 6);
  html += field(query, "min-score", "score at least", 5);
  html += field(query, "queue-id", "queue id", 12);
  for (const auto& [key, value] : query) {
    const bool is_there =
        std::find(std::begin(kInTheForm), std::end(kInTheForm), key) != std::end(kInTheForm);
    if (is_there) continue;
    html += fmt::format("<label>{0}<input name=\"{0}\" value=\"{1}\" size=\"12\"></label>\n",
                        escape(key), escape(value));
  }
  return html +
         "<button>Show</button>\n</form>\n<p class=\"soft\">\"!\" in front of a value excludes "
         "it, and commas separate several: <kbd>gait=!exim,postfix</kbd>. "
         "segmilter-desk(8) has all keys.</p>\n";
}

std::string client(const history::Row& row) {
  const auto& shown = row.address.empty() ? row.network : row.address;
  if (shown.empty()) return "not known";
  const auto& by = row.network.empty() ? row.address : row.network;
  return link_messages({{"client", by}}, page::foreign(shown));
}

std::string pattern(const history::Row& row) {
  const auto pattern = classifier::pattern_named(row.pattern);
  const auto name = pattern ? page::named(*pattern) : escape(row.pattern);
  const auto reason = row.reason.empty() || row.reason == "none" ? "" : ": " + escape(row.reason);
  return fmt::format(
      "{}{}<br><span class=\"soft\">{}</span>", name, reason,
      row.gait == "unknown" || row.gait.empty() ? "gait unknown" : page::foreign(row.gait));
}

std::string action(const history::Row& row) {
  if (row.would.empty() || row.would == "none" || row.would == row.action) {
    return escape(row.action);
  }
  return fmt::format("{}<br><span class=\"soft\">would: {} ({})</span>", escape(row.action),
                     escape(row.would), escape(row.held));
}

// One row stands for `weight` messages where the store keeps only some.
std::string weight(const history::Row& row) {
  return row.weight == 1
             ? std::string()
             : fmt::format("<br><span class=\"soft\">stands for {} messages</span>", row.weight);
}

std::string table(const Rows& rows) {
  page::Table table("Messages, newest first", {{"queue id"},
                                               {"time"},
                                               {"client"},
                                               {"pattern"},
                                               {"score", true},
                                               {"action"},
                                               {"segments and writes"}});
  for (const auto& [row, picture] : rows.items) {
    table.add({link_message(row) + weight(row), time(row.time()), client(row), pattern(row),
               fmt::format("{:+.1f}", row.score), action(row),
               picture.empty() ? "nothing was seen" : picture});
  }
  return table.take();
}

std::string pages(const Rows& rows, const Listing& listing) {
  std::string html = "<p class=\"pages\">";
  const auto to = [&](const char* key, const history::Cursor& at, const char* text) {
    auto query = listing.query;
    query.push_back({key, print(at)});
    html += link("/messages", query, text);
  };
  if (!listing.is_first) {
    html += link("/messages", listing.query, "Newest");
    if (!rows.items.empty()) to("after", rows.items.front().row.at, "Newer");
  }
  if (rows.older) to("before", *rows.older, "Older");
  html += link("/messages.csv", listing.query, "CSV of the newest 10,000");
  html += link("/messages.json", listing.query, "as JSON");
  return html + "</p>\n";
}

}  // namespace

std::string view_messages(const Rows& rows, const Listing& listing, const Context& context) {
  std::string html = form(listing.query);
  html += rows.items.empty() ? "<p>The store has no such message.</p>\n" : table(rows);
  html += pages(rows, listing) + problems(rows.problems);
  return frame({"Messages", "/messages", html}, context);
}

}  // namespace desk
