#include "classifier/smtp_command.h"

#include <algorithm>
#include <array>

#include "classifier/smtp_words.h"
#include "text/ascii.h"

namespace classifier {
namespace {

constexpr std::array kVerbs = {
    Verb{"EHLO", Asked::Reset},        Verb{"HELO", Asked::Reset},     Verb{"MAIL", Asked::Reset},
    Verb{"RCPT", Asked::Plain},        Verb{"DATA", Asked::Data},      Verb{"BDAT", Asked::Chunk},
    Verb{"RSET", Asked::Reset},        Verb{"QUIT", Asked::Quit},      Verb{"NOOP", Asked::Plain},
    Verb{"AUTH", Asked::Auth},         Verb{"VRFY", Asked::Plain},     Verb{"EXPN", Asked::Plain},
    Verb{"STARTTLS", Asked::StartTls}, Verb{"HELP", Asked::Plain},     Verb{"ETRN", Asked::Plain},
    Verb{"XCLIENT", Asked::XClient},   Verb{"XFORWARD", Asked::Plain},
};

constexpr std::array<std::string_view, 3> kHttp = {"GET", "POST", "CONNECT"};

bool separates(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

// Are both texts alike up to the length of the shorter one?
bool agree(std::string_view text, std::string_view word) {
  const std::size_t size = std::min(text.size(), word.size());
  return text::same(word.substr(0, size), text.substr(0, size));
}

}  // namespace

std::string_view take_word(std::string_view& text) {
  const auto begin = std::find_if_not(text.begin(), text.end(), separates);
  const auto end = std::find_if(begin, text.end(), separates);
  const std::string_view word(begin, end);
  text.remove_prefix(static_cast<std::size_t>(end - text.begin()));
  return word;
}

const Verb* find_verb(std::string_view word) {
  const auto found = std::find_if(kVerbs.begin(), kVerbs.end(),
                                  [&](const Verb& verb) { return text::same(verb.name, word); });
  return found == kVerbs.end() ? nullptr : &*found;
}

Command::Command(std::string_view text) : line(text), rest(text) {
  word = take_word(rest);
  verb = find_verb(word);
}

bool is_http(std::string_view word) {
  return std::find(kHttp.begin(), kHttp.end(), word) != kHttp.end();
}

std::optional<ChunkCommand> parse_chunk(std::string_view text) {
  if (text.find('\0') != text.npos) return std::nullopt;
  const std::string_view size = take_word(text);
  if (size.empty() || size.size() > kMaxSizeDigits) return std::nullopt;
  ChunkCommand chunk;
  for (const char digit : size) {
    if (digit < '0' || digit > '9') return std::nullopt;
    chunk.size = chunk.size * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  const std::string_view last = take_word(text);
  chunk.last = text::same(last, "LAST");
  if (!last.empty() && !chunk.last) return std::nullopt;
  if (!take_word(text).empty()) return std::nullopt;
  return chunk;
}

bool begins_like_any(std::string_view text, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.size() >= word.size() && agree(text, word);
  });
}

bool may_begin_like_any(std::string_view text, std::span<const std::string_view> words) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.size() < word.size() && agree(text, word);
  });
}

}  // namespace classifier
