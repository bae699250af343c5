#include "milter/evidence/question.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "text/number.h"

namespace evidence {
namespace {

constexpr std::string_view kGet = "get";
constexpr std::string_view kTalk = "talk";

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

bool is_of_session(std::string_view key) {
  return key == "client" || key == "server" || key == "began";
}

// `Asked`: a Question or a SessionQuestion.
template <typename Asked>
bool read_session_item(std::string_view key, std::string_view value, Asked& asked) {
  if (key == "client") return read_endpoint(value, asked.client);
  if (key == "server") return read_endpoint(value, asked.server.emplace());
  return read_time(value, asked.began);
}

bool read_item(std::string_view key, std::string_view value, Question& question) {
  using classifier::EnvelopeSizes;
  using classifier::ShownSizes;
  ShownSizes& shown = question.shown;
  if (is_of_session(key)) return read_session_item(key, value, question);
  if (key == "after") return read_number(value, question.after);
  if (key == "mail") return read_sizes(value, EnvelopeSizes::kMostMail, shown.envelope.mail);
  if (key == "rcpt") return read_sizes(value, EnvelopeSizes::kMostRcpt, shown.envelope.rcpt);
  if (key == "envelope") return read_number(value, shown.envelope.total);
  if (key == "greeting") return read_number(value, shown.greeting);
  if (key == "more") return shown.envelope.more = value == "yes";
  if (key == "header") return read_number(value, shown.header);
  if (key == "fields") return read_sizes(value, ShownSizes::kMostFields, shown.fields);
  if (key == "body") return read_number(value, shown.body.emplace());
  if (key == "text") return read_number(value, shown.text);
  if (key == "dots") return read_number(value, shown.dots);
  return false;
}

std::string print_session(std::string_view verb, const SessionQuestion& session) {
  std::string text = fmt::format("{} client={}", verb, session.client.print());
  if (session.server) text += " server=" + session.server->print();
  if (session.began) text += fmt::format(" began={}", session.began->time_since_epoch().count());
  return text;
}

// Calls `read(key, value)` for each item of a question with this verb. False: the text is no such
// question, or `read` has refused an item.
template <typename Read>
bool for_each_item(std::string_view text, std::string_view verb, Read read) {
  const auto word = [&text] {
    const std::string_view first = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), first.size() + 1));
    return first;
  };
  if (text.size() > Question::kMostText || text.ends_with(' ') || word() != verb) return false;
  while (!text.empty()) {
    const std::string_view item = word();
    const auto equals = item.find('=');
    if (equals == item.npos || !read(item.substr(0, equals), item.substr(equals + 1))) return false;
  }
  return true;
}

}  // namespace

std::string print(const SessionQuestion& question) {
  return print_session(kTalk, question);
}

std::string print(const Question& question) {
  const classifier::ShownSizes& shown = question.shown;
  std::string text = print_session(kGet, question.session());
  const auto add = [&text](std::string_view key, const auto& value) {
    fmt::format_to(std::back_inserter(text), " {}={}", key, value);
  };
  const auto add_sizes = [&text](std::string_view key, const std::vector<std::uint32_t>& sizes) {
    if (sizes.empty()) return;
    fmt::format_to(std::back_inserter(text), " {}={}", key, fmt::join(sizes, ","));
  };
  add("after", question.after);
  if (shown.greeting != 0) add("greeting", shown.greeting);
  add_sizes("mail", shown.envelope.mail);
  add_sizes("rcpt", shown.envelope.rcpt);
  if (shown.envelope.more) add("more", "yes");
  if (shown.envelope.total != 0) add("envelope", shown.envelope.total);
  if (shown.header != 0) add("header", shown.header);
  add_sizes("fields", shown.fields);
  if (shown.body) add("body", *shown.body);
  if (shown.text != 0) add("text", shown.text);
  if (shown.dots != 0) add("dots", shown.dots);
  return text;
}

std::optional<Question> parse_question(std::string_view text) {
  Question question;
  bool named = false;
  bool numbered = false;
  const bool good = for_each_item(text, kGet, [&](std::string_view key, std::string_view value) {
    named = named || key == "client";
    numbered = numbered || key == "after";
    return read_item(key, value, question);
  });
  return good && named && numbered ? std::optional(question) : std::nullopt;
}

std::optional<SessionQuestion> parse_session_question(std::string_view text) {
  SessionQuestion question;
  bool named = false;
  const bool good = for_each_item(text, kTalk, [&](std::string_view key, std::string_view value) {
    named = named || key == "client";
    return is_of_session(key) && read_session_item(key, value, question);
  });
  return good && named ? std::optional(question) : std::nullopt;
}

}  // namespace evidence
