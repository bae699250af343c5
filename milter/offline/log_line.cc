#include "milter/offline/log_line.h"

#include <nlohmann/json.hpp>

#include "milter/time/rfc3339.h"

namespace offline {
namespace {

// A line has at most two prefixes: that of syslog or the journal, and segmilter's own.
constexpr int kMaxPrefixes = 2;

std::string_view peek_word(std::string_view text) {
  return text.substr(0, text.find(' '));
}

std::string_view take_word(std::string_view& text) {
  const std::string_view word = peek_word(text);
  text.remove_prefix(word.size());
  while (text.starts_with(' ')) text.remove_prefix(1);
  return word;
}

// True for "segmilter[71]:" and "segmilter/filter[71]". After a tag without a colon the log level
// follows.
bool is_tag(std::string_view word) {
  constexpr std::string_view kName = "segmilter";
  if (!word.starts_with(kName) || word.size() == kName.size()) return false;
  const char next = word[kName.size()];
  return next == '/' || next == '[' || next == ':';
}

// Takes "Nov 27 07:00:00", a time without a year.
bool take_old_time(std::string_view& text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  std::string_view rest = text;
  const std::string_view month = take_word(rest);
  const std::size_t place = month.size() == 3 ? kMonths.find(month) : kMonths.npos;
  if (place == kMonths.npos || place % 3 != 0) return false;
  const std::string_view day = take_word(rest);
  const std::string_view time = take_word(rest);
  if (day.empty() || day.size() > 2 || time.size() < 8 || time[2] != ':' || time[5] != ':') {
    return false;
  }
  text = rest;
  return true;
}

enum class Prefix { None, Ours, Foreign };

// Takes a time, a host and a tag from the front.
Prefix take_prefix(std::string_view& text, std::uint64_t& time_ns) {
  std::string_view rest = text;
  if (const auto time = rfc3339::parse_time(peek_word(rest))) {
    time_ns = *time;
    take_word(rest);
  } else if (!take_old_time(rest)) {
    return Prefix::None;
  }
  std::string_view tag = take_word(rest);
  if (!is_tag(tag)) tag = take_word(rest);  // that was the host
  if (!is_tag(tag)) return Prefix::Foreign;
  if (!tag.ends_with(':') && !take_word(rest).ends_with(':')) return Prefix::Foreign;
  text = rest;
  return Prefix::Ours;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Takes a quoted value and undoes the escapes of milter/log. False: the closing quote is missing.
bool take_quoted(std::string_view& text, std::string& value) {
  text.remove_prefix(1);
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    if (c == '"') return true;
    if (c != '\\' || text.empty()) {
      value += c;
    } else if (text.size() >= 3 && text[0] == 'x' && hex_digit(text[1]) >= 0 &&
               hex_digit(text[2]) >= 0) {
      value += static_cast<char>(hex_digit(text[1]) * 16 + hex_digit(text[2]));
      text.remove_prefix(3);
    } else {
      value += text.front();
      text.remove_prefix(1);
    }
  }
  return false;
}

void set(LogLine& line, std::string_view key, std::string&& value) {
  if (key == "trace") {
    line.trace = std::move(value);
  } else if (key == "helo") {
    line.helo = std::move(value);
  } else if (key == "client") {
    line.client = net::Endpoint::parse(value).value_or(net::Endpoint());
  }
}

// Reads `key=value key="v a l u e" …` up to the first text that has not this form.
void read_facts(std::string_view text, LogLine& line) {
  while (!text.empty()) {
    const std::size_t equals = text.find('=');
    if (equals == text.npos || text.substr(0, equals).find(' ') != text.npos) return;
    const std::string_view key = text.substr(0, equals);
    text.remove_prefix(equals + 1);
    std::string value;
    if (text.starts_with('"')) {
      if (!take_quoted(text, value)) return;
    } else {
      value = peek_word(text);
      text.remove_prefix(value.size());
    }
    set(line, key, std::move(value));
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
}

// Takes "4AbC: trace", or "trace" if there is no queue id. False: the line reports another event.
bool take_event(std::string_view& text) {
  std::string_view rest = text;
  std::string_view word = take_word(rest);
  if (word.size() > 1 && word.ends_with(':')) word = take_word(rest);
  if (word != "trace") return false;
  text = rest;
  return true;
}

std::optional<LogLine> read_json(std::string_view text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto string = [&](const char* key) {
    const auto found = json.find(key);
    const bool there = found != json.end() && found->is_string();
    return there ? found->get<std::string>() : std::string();
  };
  LogLine line;
  for (const char* key : {"trace", "helo", "client"}) set(line, key, string(key));
  line.time_ns = rfc3339::parse_time(string("time")).value_or(0);
  const bool ours = !line.trace.empty() || (json.contains("process") && json.contains("level"));
  return ours ? std::optional(std::move(line)) : std::nullopt;
}

}  // namespace

std::optional<LogLine> read_log_line(std::string_view text) {
  LogLine line;
  Prefix prefix = Prefix::None;
  for (int i = 0; i < kMaxPrefixes; ++i) {
    const Prefix next = take_prefix(text, line.time_ns);
    if (next == Prefix::None) break;
    if (next == Prefix::Foreign) return std::nullopt;
    prefix = next;
  }
  if (text.starts_with('{')) {
    auto json = read_json(text);
    if (json && json->time_ns == 0) json->time_ns = line.time_ns;
    return json;
  }
  if (!take_event(text)) return prefix == Prefix::Ours ? std::optional(line) : std::nullopt;
  read_facts(text, line);
  if (prefix == Prefix::None && line.trace.empty()) return std::nullopt;
  return line;
}

}  // namespace offline
