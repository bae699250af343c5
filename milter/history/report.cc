#include "milter/history/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "classifier/classify.h"
#include "milter/history/print.h"
#include "text/printable.h"

namespace history {
namespace {

using nlohmann::ordered_json;

constexpr std::size_t kMostRows = 30;  // of a table of gaits; the others are added up

struct Sum {
  std::uint64_t messages = 0;
  std::uint64_t refused = 0;
  std::uint64_t would_refuse = 0;
  std::uint64_t would_hold = 0;
  std::uint64_t unobserved = 0;
  std::uint64_t bots = 0;  // bot-template and bot-headers-apart

  void add(const Cell& cell) {
    const auto n = cell.count.messages;
    messages += n;
    if (is_refusal(cell.labels.action)) refused += n;
    if (is_refusal(cell.labels.would)) would_refuse += n;
    if (cell.labels.would == name(classifier::Action::Quarantine)) would_hold += n;
    if (cell.labels.pattern == name(classifier::Pattern::Unobserved)) unobserved += n;
    if (cell.labels.pattern.starts_with("bot-")) bots += n;
  }
};

template <typename KeyOf>
auto sums_by(const Counts& counts, KeyOf&& key_of) {
  std::map<decltype(key_of(counts.cells.front())), Sum> sums;
  for (const Cell& cell : counts.cells) sums[key_of(cell)].add(cell);
  return sums;
}

// Most messages first.
template <typename Map>
auto by_messages(const Map& sums) {
  std::vector<std::pair<typename Map::key_type, Sum>> list(sums.begin(), sums.end());
  std::stable_sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
    return a.second.messages > b.second.messages;
  });
  return list;
}

double share(std::uint64_t part, std::uint64_t all) {
  return all == 0 ? 0 : static_cast<double>(part) / static_cast<double>(all);
}

std::string or_dash(const std::string& word) {
  return word.empty() ? "-" : word;
}

Table patterns(const Counts& counts, std::uint64_t all) {
  Table table{.key = "patterns",
              .title = "How often each pattern occurs",
              .columns = {{"pattern"},
                          {"messages", true},
                          {"share", true},
                          {"networks", true},
                          {"refused", true},
                          {"enforce_would_refuse", true},
                          {"enforce_would_hold", true}}};
  const auto sums = sums_by(counts, [](const Cell& cell) { return cell.labels.pattern; });
  for (const auto& [pattern, sum] : by_messages(sums)) {
    const auto known = classifier::pattern_named(pattern);
    const auto networks =
        known ? counts.networks_of_pattern[static_cast<std::size_t>(*known)] : std::size_t{0};
    table.rows.push_back({pattern, sum.messages, share(sum.messages, all), std::uint64_t{networks},
                          sum.refused, sum.would_refuse, sum.would_hold});
  }
  return table;
}

Table reasons(const Counts& counts) {
  Table table{.key = "unobserved",
              .title = "What was not observed, and why",
              .columns = {{"reason"}, {"messages", true}, {"share", true}}};
  std::map<std::string, std::uint64_t> sums;
  std::uint64_t all = 0;
  for (const Cell& cell : counts.cells) {
    if (cell.labels.pattern != name(classifier::Pattern::Unobserved)) continue;
    sums[or_dash(cell.labels.reason)] += cell.count.messages;
    all += cell.count.messages;
  }
  for (const auto& [reason, messages] : sums) {
    table.rows.push_back({reason, messages, share(messages, all)});
  }
  return table;
}

Table gaits(const Counts& counts, std::uint64_t all) {
  Table table{.key = "gaits",
              .title = "Which programs, if they could be named",
              .columns = {{"gait"}, {"class"}, {"messages", true}, {"share", true}}};
  const auto sums = sums_by(
      counts, [](const Cell& cell) { return std::pair(cell.labels.gait, cell.labels.gait_class); });
  std::uint64_t rest = 0;
  for (const auto& [gait, sum] : by_messages(sums)) {
    if (table.rows.size() == kMostRows) {
      rest += sum.messages;
      continue;
    }
    table.rows.push_back(
        {or_dash(gait.first), or_dash(gait.second), sum.messages, share(sum.messages, all)});
  }
  if (rest > 0) {
    table.note = fmt::format("{} messages are of other programs; --format csv has all", rest);
  }
  return table;
}

Table classes(const Counts& counts, std::uint64_t all) {
  Table table{
      .key = "classes",
      .title = "Which kinds of program",
      .columns = {{"class"}, {"messages", true}, {"share", true}, {"enforce_would_refuse", true}}};
  const auto sums = sums_by(counts, [](const Cell& cell) { return cell.labels.gait_class; });
  for (const auto& [kind, sum] : by_messages(sums)) {
    table.rows.push_back({or_dash(kind), sum.messages, share(sum.messages, all), sum.would_refuse});
  }
  return table;
}

Table actions(const Counts& counts, std::uint64_t all) {
  Table table{
      .key = "actions",
      .title = "What the scores asked for, and what was done",
      .columns = {{"asked_for"}, {"done"}, {"held_back_by"}, {"messages", true}, {"share", true}}};
  const auto sums = sums_by(counts, [](const Cell& cell) {
    return std::array{cell.labels.would, cell.labels.action, cell.labels.held};
  });
  for (const auto& [words, sum] : by_messages(sums)) {
    table.rows.push_back({or_dash(words[0]), or_dash(words[1]), or_dash(words[2]), sum.messages,
                          share(sum.messages, all)});
  }
  return table;
}

Table bins(const Counts& counts) {
  Table table{.key = "times",
              .title = "By time",
              .columns = {{"begin"},
                          {"messages", true},
                          {"bot_patterns", true},
                          {"unobserved", true},
                          {"enforce_would_refuse", true}}};
  const auto sums = sums_by(counts, [](const Cell& cell) { return cell.begin; });
  for (const auto& [begin, sum] : sums) {
    table.rows.push_back(
        {print_time(begin), sum.messages, sum.bots, sum.unobserved, sum.would_refuse});
  }
  return table;
}

Table networks(const Counts& counts) {
  Table table{.key = "networks",
              .title = "Networks that sent most",
              .columns = {{"network"},
                          {"messages", true},
                          {"mostly"},
                          {"share_of_it", true},
                          {"enforce_would_refuse", true},
                          {"first"},
                          {"last"}}};
  for (const auto& network : counts.networks) {
    const auto most = std::max_element(network.patterns.begin(), network.patterns.end());
    const auto pattern = static_cast<classifier::Pattern>(most - network.patterns.begin());
    table.rows.push_back({network.network, network.messages, std::string(name(pattern)),
                          share(*most, network.messages), network.would_refuse,
                          print_time(network.first), print_time(network.last)});
  }
  table.note = fmt::format("{}{} network{} in all", counts.networks_are_full ? "more than " : "",
                           counts.distinct_networks, counts.distinct_networks == 1 ? "" : "s");
  return table;
}

std::string list_of(const std::vector<DayCount>& days, DayCount::From from) {
  constexpr std::size_t kMostNamed = 10;
  std::string list;
  std::size_t count = 0;
  for (const auto& day : days) {
    if (day.from != from) continue;
    if (count++ < kMostNamed) {
      list += fmt::format("{}{}", list.empty() ? "" : ", ", print_time(day.day).substr(0, 10));
    }
  }
  return count > kMostNamed ? fmt::format("{} and {} more", list, count - kMostNamed) : list;
}

std::vector<std::string> notes(const Counts& counts, const Selection& selection) {
  std::vector<std::string> list;
  const auto all = counts.all();
  Pairs pairs = print(selection);
  std::erase_if(pairs, [](const Pair& pair) { return pair.key == "from" || pair.key == "to"; });
  std::string only;
  for (const auto& [key, value] : pairs) only += fmt::format(" {}={}", key, value);
  if (!only.empty()) list.push_back(fmt::format("Only messages with{}.", only));
  list.push_back(
      fmt::format("{} messages, counted by {} rows of the store. Times are UTC. Messages that were "
                  "exempt, and those that came while nothing was remembered, are not among them.",
                  all.messages, all.rows));
  list.emplace_back(
      "\"enforce would refuse\" counts messages for which the score asked for tempfail or reject. "
      "The percentages and the circuit breaker would let some of them pass.");
  std::uint64_t of_totals = 0;
  std::uint64_t of_samples = 0;
  for (const Cell& cell : counts.cells) {
    if (cell.count.rows == 0) of_totals += cell.count.messages;
    if (cell.count.rows != 0) of_samples += cell.count.messages - cell.count.rows;
  }
  if (of_samples > 0) {
    list.push_back(
        fmt::format("{} messages have no row of their own: on busy days one row stands for several "
                    "messages for which the score asked no action, and is counted that many times.",
                    of_samples));
  }
  if (const auto days = list_of(counts.days, DayCount::From::Totals); !days.empty()) {
    list.push_back(
        counts.totals_left_out
            ? fmt::format("For these days only the totals of each hour are left, which cannot "
                          "answer this selection; they are not counted: {}.",
                          days)
            : fmt::format("For these days only the totals of each hour by pattern, gait and action "
                          "are left ({} messages): {}.",
                          of_totals, days));
  }
  if (const auto days = list_of(counts.days, DayCount::From::Nothing); !days.empty()) {
    list.push_back(fmt::format("Nothing is remembered for: {}.", days));
  }
  for (const auto& problem : counts.problems) list.push_back(problem + ".");
  return list;
}

std::string print_table(const Table& table) {
  std::vector<std::vector<std::string>> lines(1);
  for (const auto& column : table.columns) lines[0].push_back(heading(column));
  for (const auto& row : table.rows) {
    auto& line = lines.emplace_back();
    for (const auto& value : row) line.push_back(text::printable(print(value)));
  }
  std::vector<std::size_t> widths(table.columns.size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text = fmt::format("\n{}\n", table.title);
  for (const auto& line : lines) {
    std::string printed;
    for (std::size_t i = 0; i < line.size(); ++i) {
      printed += table.columns[i].is_number ? fmt::format("  {:>{}}", line[i], widths[i])
                                            : fmt::format("  {:<{}}", line[i], widths[i]);
    }
    printed.erase(printed.find_last_not_of(' ') + 1);
    text += printed + "\n";
  }
  if (table.rows.empty()) text += "  none\n";
  if (!table.note.empty()) text += fmt::format("  {}\n", table.note);
  return text;
}

ordered_json to_json(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
  return std::get<double>(value);
}

ordered_json to_json(const Table& table) {
  auto rows = ordered_json::array();
  for (const auto& row : table.rows) {
    ordered_json object;
    for (std::size_t i = 0; i < row.size(); ++i) object[table.columns[i].name] = to_json(row[i]);
    rows.push_back(std::move(object));
  }
  return rows;
}

}  // namespace

std::string print(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return fmt::format("{}", *number);
  return fmt::format("{:.1f} %", 100 * std::get<double>(value));
}

std::string heading(const Column& column) {
  auto text = column.name;
  std::replace(text.begin(), text.end(), '_', ' ');
  return text;
}

Report make_report(const Counts& counts, const Selection& selection) {
  const auto all = counts.all().messages;
  const auto from = selection.from.value_or(counts.first);
  const auto to = selection.to.value_or(counts.last);
  Report report{
      .title = all == 0 ? "No messages"
                        : fmt::format("Messages from {} to {}", print_time(from), print_time(to)),
      .notes = notes(counts, selection)};
  report.tables = {patterns(counts, all), actions(counts, all), reasons(counts), bins(counts),
                   classes(counts, all),  gaits(counts, all),   networks(counts)};
  return report;
}

std::string print_text(const Report& report) {
  std::string text = report.title + "\n";
  for (const auto& note : report.notes) text += fmt::format("  {}\n", text::printable(note));
  for (const auto& table : report.tables) text += print_table(table);
  return text;
}

std::string print_json(const Report& report, const Counts& counts) {
  const auto all = counts.all();
  ordered_json json;
  json["first"] = all.rows == 0 ? ordered_json(nullptr) : ordered_json(print_time(counts.first));
  json["last"] = all.rows == 0 ? ordered_json(nullptr) : ordered_json(print_time(counts.last));
  json["messages"] = all.messages;
  json["rows"] = all.rows;
  json["distinct_networks"] = counts.distinct_networks;
  json["notes"] = report.notes;
  for (const auto& table : report.tables) json[table.key] = to_json(table);
  constexpr bool kAscii = true;  // as in a row
  return json.dump(2, ' ', kAscii, ordered_json::error_handler_t::replace) + "\n";
}

std::string print_csv(const Counts& counts) {
  std::string text = "begin,pattern,gait,class,action,would,held,reason,messages,rows\n";
  for (const auto& [begin, labels, count] : counts.cells) {
    text += print_time(begin);
    for (const auto* word : {&labels.pattern, &labels.gait, &labels.gait_class, &labels.action,
                             &labels.would, &labels.held, &labels.reason}) {
      text += "," + csv_field(*word);
    }
    text += fmt::format(",{},{}\n", count.messages, count.rows);
  }
  return text;
}

}  // namespace history
