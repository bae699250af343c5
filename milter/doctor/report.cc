#include "milter/doctor/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/ascii.h"
#include "text/printable.h"

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

// Replaces control characters with spaces, so that a line stays one line. Text that may come from a
// peer is printed with text::printable instead.
std::string one_line(std::string_view text) {
  std::string line(text);
  std::replace_if(line.begin(), line.end(), text::is_control, ' ');
  return line;
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
  if (!finding.looked_at.empty()) add("looked at", text::printable(finding.looked_at));
  // The next two are for a shell and for segmilter.toml, so names in them must not be escaped. They
  // contain no text from a peer.
  for (const auto& line : finding.mend) add("to fix it", line);
  if (!finding.setting.empty()) add("setting", finding.setting);
  return text;
}

constexpr std::string_view kSetting = "segmilter.toml: ";

// The place of a line in the order in which lines are run. Settings come before the line that
// starts a service with them. Postfix's lines come before segmilter's start, because Postfix may
// have to release a port first.
int turn(std::string_view line) {
  constexpr std::string_view kTurns[] = {"apt-get ", "chgrp ",  "chmod ",         "rm ",
                                         "postconf", "postfix", "segmilter.toml", "segmilter nft"};
  int at = 0;
  for (const auto begin : kTurns) {
    if (line.starts_with(begin)) return at;
    ++at;
  }
  return at;
}

// Only warnings and failures are fixed; a skipped check has found nothing out.
bool is_to_mend(const Finding& finding) {
  const bool wrong = finding.state == State::Warn || finding.state == State::Fail;
  return wrong && (!finding.mend.empty() || !finding.setting.empty());
}

bool is_postfix(std::string_view line, std::string_view word) {
  return line.starts_with("postfix") && line.ends_with(word);
}

}  // namespace

std::vector<std::string> mend_in_order(const std::vector<Finding>& findings) {
  std::vector<std::string> lines;
  const auto add = [&](std::string line) {
    // If a line repeats, only the last one stays: a reload has to follow all settings that need it.
    std::erase(lines, line);
    lines.push_back(std::move(line));
  };
  bool settings = false;
  for (const auto& finding : findings) {
    if (!is_to_mend(finding)) continue;
    for (const auto& line : finding.mend) add(line);
    if (finding.setting.empty()) continue;
    settings = true;
    add(std::string(kSetting) + finding.setting);
  }
  if (settings) add(kRestart);
  // A Postfix that is started again reads its settings, so it needs no reload.
  const bool started = std::any_of(lines.begin(), lines.end(),
                                   [](const auto& line) { return is_postfix(line, " start"); });
  if (started) std::erase_if(lines, [](const auto& line) { return is_postfix(line, " reload"); });
  std::stable_sort(lines.begin(), lines.end(),
                   [](const auto& a, const auto& b) { return turn(a) < turn(b); });
  return lines;
}

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
                        finding.check, width, text::printable(finding.found));
    if (finding.state != State::Ok) text += details(finding);
    if (finding.state == State::Fail && finding.found.starts_with("OPEN RELAY")) {
      relay = text::printable(finding.found);
    }
  }
  const auto warnings = count(findings, State::Warn);
  text += fmt::format("{} ok, {} warning{}, {} failed, {} skipped\n", count(findings, State::Ok),
                      warnings, warnings == 1 ? "" : "s", count(findings, State::Fail),
                      count(findings, State::Skip));
  const auto mending = std::count_if(findings.begin(), findings.end(), is_to_mend);
  if (mending > 1) {
    text += "To fix all of it, run these lines in this order:\n";
    for (const auto& line : mend_in_order(findings)) text += "    " + one_line(line) + "\n";
  }
  if (!relay.empty()) text += paint(relay + " Fix this first.", State::Fail, colours) + "\n";
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
  all["mend"] = mend_in_order(findings);
  // A server's greeting may contain bytes that are not UTF-8; they are replaced.
  return all.dump(2, ' ', true, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

int exit_code(const std::vector<Finding>& findings) {
  return count(findings, State::Fail) != 0 ? 1 : 0;
}

}  // namespace doctor
