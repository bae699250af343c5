#include "milter/evidence/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "text/number.h"

namespace evidence {
namespace {

constexpr std::string_view kVerb = "get";

template <typename Number>
bool read_number(std::string_view text, Number& number) {
  const auto read = text::number<Number>(text);
  number = read.value_or(0);
  return read.has_value();
}

bool read_sizes(std::string_view text, std::size_t most, std::vector<std::uint32_t>& sizes) {
  if (!sizes.empty()) return false;
  for (;;) {
    const std::string_view size = text.substr(0, text.find(','));
    if (sizes.size() == most || !read_number(size, sizes.emplace_back())) return false;
    if (size.size() == text.size()) return true;
    text.remove_prefix(size.size() + 1);
  }
}

bool read_endpoint(std::string_view text, net::Endpoint& endpoint) {
  const auto parsed = net::Endpoint::parse(text);
  if (parsed) endpoint = *parsed;
  return parsed.has_value();
}

bool read_time(std::string_view text, std::optional<steady_clock::time_point>& time) {
  std::int64_t ns = 0;
  if (!read_number(text, ns) || ns < 0) return false;
  time.emplace(std::chrono::nanoseconds(ns));
  return true;
}

bool read_item(std::string_view key, std::string_view value, Question& question) {
  using classifier::EnvelopeSizes;
  using classifier::ShownSizes;
  ShownSizes& shown = question.shown;
  if (key == "client") return read_endpoint(value, question.client);
  if (key == "server") return read_endpoint(value, question.server.emplace());
  if (key == "began") return read_time(value, question.began);
  if (key == "after") return read_number(value, question.after);
  if (key == "mail") return read_sizes(value, EnvelopeSizes::kMostMail, shown.envelope.mail);
  if (key == "rcpt") return read_sizes(value, EnvelopeSizes::kMostRcpt, shown.envelope.rcpt);
  if (key == "envelope") return read_number(value, shown.envelope.total);
  if (key == "greeting") return read_number(value, shown.greeting);
  if (key == "more") return shown.envelope.more = value == "yes";
  if (key == "header") return read_number(value, shown.header);
  if (key == "fields") return read_sizes(value, ShownSizes::kMostFields, shown.fields);
  if (key == "body") return read_number(value, shown.body.emplace());
  if (key == "dots") return read_number(value, shown.dots);
  return false;
}

}  // namespace

std::string print(const Question& question) {
  const classifier::ShownSizes& shown = question.shown;
  std::string text = fmt::format("{} client={}", kVerb, question.client.print());
  const auto add = [&text](std::string_view key, const auto& value) {
    fmt::format_to(std::back_inserter(text), " {}={}", key, value);
  };
  const auto add_sizes = [&text](std::string_view key, const std::vector<std::uint32_t>& sizes) {
    if (sizes.empty()) return;
    fmt::format_to(std::back_inserter(text), " {}={}", key, fmt::join(sizes, ","));
  };
  if (question.server) add("server", question.server->print());
  if (question.began) add("began", question.began->time_since_epoch().count());
  add("after", question.after);
  if (shown.greeting != 0) add("greeting", shown.greeting);
  add_sizes("mail", shown.envelope.mail);
  add_sizes("rcpt", shown.envelope.rcpt);
  if (shown.envelope.more) add("more", "yes");
  if (shown.envelope.total != 0) add("envelope", shown.envelope.total);
  if (shown.header != 0) add("header", shown.header);
  add_sizes("fields", shown.fields);
  if (shown.body) add("body", *shown.body);
  if (shown.dots != 0) add("dots", shown.dots);
  return text;
}

std::optional<Question> parse_question(std::string_view text) {
  const auto word = [&text] {
    const std::string_view first = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), first.size() + 1));
    return first;
  };
  if (text.size() > Question::kMostText || text.ends_with(' ') || word() != kVerb) return {};
  Question question;
  bool named = false;
  bool numbered = false;
  while (!text.empty()) {
    const std::string_view item = word();
    const auto equals = item.find('=');
    if (equals == item.npos) return {};
    const std::string_view key = item.substr(0, equals);
    if (!read_item(key, item.substr(equals + 1), question)) return {};
    named = named || key == "client";
    numbered = numbered || key == "after";
  }
  return named && numbered ? std::optional(question) : std::nullopt;
}

}  // namespace evidence
