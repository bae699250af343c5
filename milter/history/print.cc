#include "milter/history/print.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "classifier/trace_text.h"
#include "milter/time/rfc3339.h"
#include "text/printable.h"

namespace history {
namespace {

using nlohmann::ordered_json;

// What is known of the client; a dash: nothing.
std::string client_of(const Row& row) {
  const auto& text = row.address.empty() ? row.network : row.address;
  return text.empty() ? "-" : text::printable(text);
}

// What was done, and what was asked for if that is another thing.
std::string outcome_of(const Row& row) {
  if (row.would == row.action || row.would == "none") return text::printable(row.action);
  return text::printable(fmt::format("{} (would {})", row.action, row.would));
}

// The program's name or, without one, its class.
std::string program_of(const Row& row) {
  const auto kind = row.unnamed_class();
  return text::printable(kind.empty() ? row.gait : fmt::format("unknown, {}", kind));
}

constexpr std::string_view kForm = "{:<24}  {:<15}  {:<18} {:<17} {:>6} {:>4}  {:<23} {}\n";

// 0.97, not 0.969999999.
double rounded(double value) {
  constexpr double kPlaces = 1000;
  return std::round(value * kPlaces) / kPlaces;
}

ordered_json or_null(std::string_view text) {
  return text.empty() ? ordered_json(nullptr) : ordered_json(text);
}

ordered_json to_json(const Row& row) {
  ordered_json json;
  json["time"] = print_time(row.time());
  json["queue_id"] = or_null(row.queue_id);
  json["address"] = or_null(row.address);
  json["port"] = row.port ? ordered_json(*row.port) : ordered_json(nullptr);
  json["network"] = or_null(row.network);
  json["listener"] = or_null(row.listener);
  json["pattern"] = row.pattern;
  json["writer"] = row.writer;
  json["path"] = row.path;
  json["confidence"] = rounded(row.confidence);
  json["score"] = rounded(row.score);
  json["action"] = row.action;
  json["would"] = row.would;
  json["held"] = row.held;
  json["basis"] = row.basis;
  json["gait"] = row.gait;
  json["class"] = or_null(row.unnamed_class());
  json["block"] = row.block;
  json["mss"] = row.mss;
  json["tls"] = row.tls;
  json["size"] = row.size;
  json["helo_literal"] = row.helo.literal;
  json["helo_dotless"] = row.helo.dotless;
  json["helo_confirmed"] = row.helo.confirmed;
  json["via"] = row.via;
  json["state"] = row.state;
  json["reason"] = row.reason;
  json["terms"] = row.terms;
  json["syn"] = or_null(row.syn);
  json["ja4"] = or_null(row.ja4);
  json["weight"] = row.weight;
  json["cursor"] = print(row.at);
  if (!row.trace.empty()) json["trace"] = row.trace;
  return json;
}

// In CSV a value that is not there is an empty field.
std::string csv_value(const ordered_json& value) {
  if (value.is_null()) return {};
  return value.is_string() ? csv_field(value.get<std::string>()) : value.dump();
}

// Characters outside of ASCII are written as \u009b, because a terminal may obey them.
std::string line_of(const ordered_json& json) {
  constexpr bool kAscii = true;
  return json.dump(-1, ' ', kAscii, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string text_head() {
  return fmt::format(fmt::runtime(kForm), "time", "queue id", "client", "pattern", "score", "conf",
                     "action", "program");
}

std::string print_text(const Row& row) {
  auto program = program_of(row);
  if (row.weight != 1) program += fmt::format("  (one of {} such messages)", row.weight);
  return fmt::format(fmt::runtime(kForm), print_time(row.time()),
                     row.queue_id.empty() ? "-" : text::printable(row.queue_id), client_of(row),
                     text::printable(row.pattern), fmt::format("{:+.1f}", row.score),
                     fmt::format("{:.2f}", row.confidence), outcome_of(row), program);
}

// The keys of the JSON form are the head, so that both agree.
std::string csv_head() {
  const auto keys = to_json({});
  std::string line;
  for (const auto& [key, value] : keys.items()) {
    line += fmt::format("{}{}", line.empty() ? "" : ",", key);
  }
  return line + "\n";
}

std::string print_csv(const Row& row) {
  Row without_trace = row;
  without_trace.trace.clear();
  std::string line;
  bool is_first = true;
  for (const auto& value : to_json(without_trace)) {
    if (!is_first) line += ',';
    is_first = false;
    line += csv_value(value);
  }
  return line + "\n";
}

std::string print_json(const Row& row) {
  return line_of(to_json(row));
}

std::string print_json(const Row& row, const Explanation& explained, std::string_view header) {
  auto json = to_json(row);
  json["outcome"] = outcome(explained.decision, basis_of(row));
  json["reasons"] = ordered_json::array();
  for (const auto& [sentence, part] : explained.reasons) {
    json["reasons"].push_back(
        {{"sentence", sentence},
         {"part", part ? ordered_json(rounded(*part)) : ordered_json(nullptr)}});
  }
  json["rest"] = rounded(explained.rest);
  json["header"] = or_null(header);
  return line_of(json);
}

// A spreadsheet takes a field for a formula if it begins with one of these characters. The quote mark
// in front makes it a text.
std::string csv_field(std::string_view text) {
  auto field = text::printable(text);
  constexpr std::string_view kFormula = "=+-@";
  if (!field.empty() && kFormula.find(field.front()) != kFormula.npos) field.insert(0, 1, '\'');
  if (field.find_first_of(",\"") == field.npos) return field;
  std::string quoted = "\"";
  for (const char c : field) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + "\"";
}

std::string print_time(memory::Time time) {
  constexpr std::uint64_t kNsPerMs = 1'000'000;
  return rfc3339::print_time(static_cast<std::uint64_t>(time.time_since_epoch().count()) *
                             kNsPerMs);
}

}  // namespace history
