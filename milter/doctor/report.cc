#include "milter/doctor/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace doctor {
namespace {

constexpr State kStates[] = {State::Ok, State::Warn, State::Fail, State::Skip};

std::string_view colour(State state) {
  switch (state) {
    case State::Ok:
      return "32";
    case State::Warn:
      return "33;1";
    case State::Fail:
      return "31;1";
    case State::Skip:
      return "2";
  }
  return "0";
}

std::string paint(std::string_view text, State state, bool colours) {
  return colours ? fmt::format("\033[{}m{}\033[0m", colour(state), text) : std::string(text);
}

// A line stays a line.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
  return line;
}

// What a peer said may stand in a finding: it writes no escape sequence on a terminal and no line
// of its own. To a terminal of 8 bits 0x9b begins one too, and it may stand inside of UTF-8, so
// nothing above ASCII stays.
std::string printable(std::string_view text) {
  auto clean = one_line(text);
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return static_cast<unsigned char>(c) > 0x7f; }, '?');
  return clean;
}

auto count(const std::vector<Finding>& findings, State state) {
  return std::count_if(findings.begin(), findings.end(),
                       [state](const Finding& finding) { return finding.state == state; });
}

std::size_t name_width(const std::vector<Finding>& findings) {
  std::size_t width = 0;
  for (const auto& finding : findings) width = std::max(width, finding.check.size());
  return width;
}

std::string details(const Finding& finding) {
  constexpr std::string_view kIndent = "        ";
  std::string text;
  const auto add = [&](std::string_view label, std::string_view line) {
    text += fmt::format("{}{:<10} {}\n", kIndent, label, one_line(line));
  };
  if (!finding.looked_at.empty()) add("looked at", printable(finding.looked_at));
  // These two are for a shell and a file, so the names in them stay as they are; no peer has a say
  // in them.
  for (const auto& line : finding.mend) add("mend", line);
  if (!finding.setting.empty()) add("setting", finding.setting);
  return text;
}

}  // namespace

std::string_view word(State state) {
  switch (state) {
    case State::Ok:
      return "ok";
    case State::Warn:
      return "warn";
    case State::Fail:
      return "FAIL";
    case State::Skip:
      return "skip";
  }
  return "";
}

std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:,@%=";
  if (!text.empty() && text.find_first_not_of(kPlain) == text.npos) return std::string(text);
  std::string quoted = "'";
  for (const char c : text) {
    if (c == '\'') {
      quoted += "'\\''";
    } else {
      quoted += c;
    }
  }
  return quoted + "'";
}

std::string report_text(const std::vector<Finding>& findings, bool colours) {
  const auto width = name_width(findings);
  std::string text;
  std::string relay;
  for (const auto& finding : findings) {
    text += fmt::format("{}  {:<{}}  {}\n",
                        paint(fmt::format("{:<4}", word(finding.state)), finding.state, colours),
                        finding.check, width, printable(finding.found));
    if (finding.state != State::Ok) text += details(finding);
    if (finding.state == State::Fail && finding.found.starts_with("OPEN RELAY")) {
      relay = printable(finding.found);
    }
  }
  text += fmt::format("{} ok, {} to look at, {} failed, {} skipped\n", count(findings, State::Ok),
                      count(findings, State::Warn), count(findings, State::Fail),
                      count(findings, State::Skip));
  if (!relay.empty()) text += paint(relay + " Mend this first.", State::Fail, colours) + "\n";
  return text;
}

std::string report_json(const std::vector<Finding>& findings) {
  nlohmann::ordered_json all;
  all["findings"] = nlohmann::ordered_json::array();
  for (const auto& finding : findings) {
    nlohmann::ordered_json item;
    item["check"] = finding.check;
    item["state"] = word(finding.state);
    item["looked_at"] = finding.looked_at;
    item["found"] = finding.found;
    item["mend"] = finding.mend;
    item["setting"] = finding.setting;
    all["findings"].push_back(std::move(item));
  }
  for (const State state : kStates) {
    all[state == State::Fail ? "fail" : std::string(word(state))] = count(findings, state);
  }
  // A server's greeting need not be UTF-8.
  return all.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

int exit_code(const std::vector<Finding>& findings) {
  return count(findings, State::Fail) != 0 ? 1 : 0;
}

}  // namespace doctor
