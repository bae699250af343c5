#include "milter/page/page.h"

#include <fmt/format.h>

#include <cstdint>

namespace page {
namespace {

struct Character {
  std::uint32_t code = 0xfffd;
  std::size_t size = 1;  // bytes
};

// The first UTF-8 character of `text` (RFC 3629, 4); U+FFFD for a byte that begins no character.
Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return {};
  std::uint32_t code = lead & (0xffU >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {};
    code = code << 6 | (byte(i) & 0x3fU);
  }
  constexpr std::uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kSmallest[size] || code > 0x10ffff || surrogate) return {};
  return {code, size};
}

// Control characters, and characters that change the direction of text (Unicode TR 9).
bool is_dangerous(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c || code == 0x200e ||
         code == 0x200f || (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

}  // namespace

std::string escape(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character c = first_character(text);
    const std::string_view bytes = text.substr(0, c.size);
    text.remove_prefix(c.size);
    switch (c.code) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case 0xfffd:
        out += "\xef\xbf\xbd";
        break;
      default:
        out += is_dangerous(c.code) ? fmt::format("\\u{:04x}", c.code) : std::string(bytes);
    }
  }
  return out;
}

std::string foreign(std::string_view text) {
  return fmt::format("<bdi>{}</bdi>", escape(text));
}

const std::string_view kPageEnd = "</main>\n</body></html>\n";

std::string page_begin(std::string_view title) {
  return fmt::format(
      R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{}</title>
<style>{}</style></head><body>
<main>
)",
      escape(title), kStyle);
}

std::string_view in_words(classifier::Pattern pattern) {
  using classifier::Pattern;
  switch (pattern) {
    case Pattern::Unobserved:
      return "not observed, or not completely";
    case Pattern::Indistinct:
      return "too short to recognize a pattern";
    case Pattern::BotTemplate:
      return "writes end inside header lines, as in programs that fill in templates";
    case Pattern::BotHeadersApart:
      return "one write has the whole header and nothing else";
    case Pattern::Mobile:
      return "the segment size changes, as on mobile networks";
    case Pattern::GarageServer:
      return "small segments of one size";
    case Pattern::Relay:
      return "the first Received field in a write of its own, then large writes";
    case Pattern::KilobyteBlocks:
      return "blocks of a multiple of 1024 bytes";
    case Pattern::LineWriter:
      return "one write for each line";
    case Pattern::OfficialMta:
      return "full segments or blocks of other sizes, as mail servers write";
    case Pattern::Noisy:
      return "packet loss or retransmission hides where writes end";
  }
  return "";
}

std::string_view class_of(classifier::Pattern pattern) {
  using classifier::Pattern;
  switch (pattern) {
    case Pattern::BotTemplate:
    case Pattern::BotHeadersApart:
      return "bad";
    case Pattern::OfficialMta:
    case Pattern::Relay:
      return "good";
    case Pattern::Mobile:
    case Pattern::GarageServer:
    case Pattern::LineWriter:
    case Pattern::KilobyteBlocks:
      return "odd";
    case Pattern::Unobserved:
    case Pattern::Indistinct:
    case Pattern::Noisy:
      return "soft";
  }
  return "soft";
}

std::size_t colour_of(classifier::Pattern pattern) {
  using classifier::Pattern;
  switch (pattern) {
    case Pattern::BotTemplate:
      return 0;
    case Pattern::BotHeadersApart:
      return 1;
    case Pattern::Mobile:
      return 2;
    case Pattern::GarageServer:
      return 3;
    case Pattern::KilobyteBlocks:
    case Pattern::LineWriter:
      return 4;
    case Pattern::Relay:
      return 5;
    case Pattern::OfficialMta:
      return 6;
    case Pattern::Unobserved:
    case Pattern::Indistinct:
    case Pattern::Noisy:
      return 7;
  }
  return 7;
}

std::string named(classifier::Pattern pattern) {
  return fmt::format("<span class=\"{} whole\">{}</span>", class_of(pattern),
                     classifier::name(pattern));
}

std::string time_element(std::string_view time) {
  const std::size_t hour = time.find('T');
  if (hour == time.npos) return escape(time);
  return fmt::format(
      "<time datetime=\"{}\"><span class=\"whole\">{}</span><wbr><span "
      "class=\"whole\">{}</span></time>",
      time, time.substr(0, hour), time.substr(hour));
}

}  // namespace page
