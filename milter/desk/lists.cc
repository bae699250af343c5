#include "milter/desk/lists.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "milter/desk/numbers.h"
#include "milter/desk/views.h"
#include "milter/history/print.h"

namespace desk {
namespace {

using Json = nlohmann::ordered_json;

using history::print_time;

// "<" occurs in strings only, and is escaped there, so that no browser takes the text for a page.
std::string without_markup(const std::string& text) {
  std::string safe;
  for (const char c : text) c == '<' ? safe += "\\u003c" : safe += c;
  return safe;
}

std::string dump(const Json& json) {
  return without_markup(json.dump(1, ' ', false, Json::error_handler_t::replace)) + "\n";
}

Json group(const Group& one, std::string_view key) {
  Json json;
  json[std::string(key)] = one.name;
  json["first"] = print_time(one.first);
  json["last"] = print_time(one.last);
  json["messages"] = one.sum.messages;
  json["asked_to_refuse"] = one.sum.asked;
  for (std::size_t i = 0; i < classifier::kPatterns; ++i) {
    json[std::string(classifier::kPatternNames[i])] = one.patterns[i];
  }
  return json;
}

Json groups(const std::vector<Group>& all, std::string_view key) {
  Json json = Json::array();
  for (const Group& one : all) json.push_back(group(one, key));
  return json;
}

Json messages(const Rows& rows) {
  Json json = Json::array();
  for (const auto& item : rows.items) json.push_back(Json::parse(history::print_json(item.row)));
  return json;
}

Json threshold(double value) {
  return std::isfinite(value) ? Json(value) : Json(nullptr);
}

Json pairs(const std::vector<std::pair<std::string, std::uint64_t>>& all) {
  Json json = Json::object();
  for (const auto& [name, messages] : all) json[name] = messages;
  return json;
}

}  // namespace

std::string messages_json(const Rows& rows) {
  return dump({{"messages", messages(rows)},
               {"older", rows.older ? Json(history::print(*rows.older)) : Json(nullptr)},
               {"problems", rows.problems}});
}

std::string messages_csv(const Rows& rows) {
  std::string text = history::csv_head();
  for (const auto& item : rows.items) text += history::print_csv(item.row);
  return text;
}

std::string groups_json(const std::vector<Group>& all, std::string_view key) {
  return dump(groups(all, key));
}

std::string groups_csv(const std::vector<Group>& all, std::string_view key) {
  std::string text = fmt::format("{},first,last,messages,asked_to_refuse,{}\n", key,
                                 fmt::join(classifier::kPatternNames, ","));
  for (const Group& one : all) {
    text += fmt::format("{},{},{},{},{},{}\n", history::csv_field(one.name), print_time(one.first),
                        print_time(one.last), one.sum.messages, one.sum.asked,
                        fmt::join(one.patterns, ","));
  }
  return text;
}

std::string overview_json(const Overview& overview, const Context& context) {
  Json bins = Json::array();
  for (std::size_t i = 0; i < overview.bins.size(); ++i) {
    Json bin;
    bin["time"] = print_time(overview.begin + i * Overview::kBin);
    for (std::size_t j = 0; j < classifier::kPatterns; ++j) {
      if (overview.bins[i][j] == 0) continue;
      bin[std::string(classifier::kPatternNames[j])] = overview.bins[i][j];
    }
    bins.push_back(std::move(bin));
  }
  return dump({{"age_seconds", context.age},
               {"messages", overview.all.messages},
               {"refused", overview.all.refused},
               {"asked_to_refuse", overview.all.asked},
               {"networks", overview.distinct_networks},
               {"actions", pairs(overview.actions)},
               {"complaints", complaints(&overview, context)},
               {"patterns", groups(overview.patterns, "pattern")},
               {"bins", std::move(bins)},
               {"problems", overview.problems}});
}

std::string estimate_json(const Estimate& estimate, const Thresholds& thresholds) {
  return dump({{"thresholds",
                {{"tempfail", threshold(thresholds.tempfail)},
                 {"quarantine", threshold(thresholds.quarantine)},
                 {"reject", threshold(thresholds.reject)}}},
               {"messages", estimate.messages},
               {"tempfail", estimate.tempfail},
               {"quarantine", estimate.quarantine},
               {"reject", estimate.reject},
               {"networks", groups(estimate.networks, "network")},
               {"gaits", groups(estimate.gaits, "gait")},
               {"patterns", groups(estimate.patterns, "pattern")},
               {"newest", messages(estimate.hardest)},
               {"problems", estimate.problems}});
}

std::string health_json(const Overview* overview, const Context& context) {
  const auto [answers, p50, p99] = latency(context.families);
  const auto name = [](const std::optional<std::string_view>& text) {
    return text ? Json(std::string(*text)) : Json(nullptr);
  };
  Json json{{"version", SEGMILTER_VERSION},
            {"complaints", complaints(overview, context)},
            {"answers", answers},
            {"answered_within_p50", name(p50)},
            {"answered_within_p99", name(p99)}};
  json["unobserved"] = overview != nullptr ? pairs(overview->unobserved) : Json(nullptr);
  json["problems"] = overview != nullptr ? Json(overview->problems) : Json::array();
  return dump(json);
}

}  // namespace desk
