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

const std::string_view kStyle = R"(
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1c1f; --soft: #565d65; --line: #d0d5db;
  --link: #0b57d0; --seg: #9db7d5; --seg2: #bccfe4; --write: #d9b98a; --write2: #e7d2b3; --fixed: #c8553d;
  --late: #d7a021; --mark: #7a2e8e; --bad: #a01b14; --good: #1f6f2b; --odd: #7a5200; --fill: #9db7d5; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e6e8ea; --soft: #a3acb6; --line: #3a4149;
  --link: #8ab4f8; --seg: #41638a; --seg2: #2f4a69; --write: #86672f; --write2: #664e24; --fixed: #b5442f;
  --late: #8a6410; --mark: #d29be0; --bad: #ff8a80; --good: #81c784; --odd: #e0b050; --fill: #2f4a69; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
bdi, code { overflow-wrap: anywhere; } .whole { white-space: nowrap; }
a { color: var(--link); } a:focus-visible, summary:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; } .skip:focus { position: static; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .3rem; } h3 { font-size: 1.05rem; margin: 0; }
section.message { border-top: 1px solid var(--line); padding: 1rem 0; }
.bad { color: var(--bad); } .good { color: var(--good); } .odd { color: var(--odd); } .soft { color: var(--soft); }
dl.facts { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; margin: .4rem 0; } dl.facts div { display: flex; gap: .4rem; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
dl.terms dt { font-weight: 600; } dl.terms dd { margin: 0 0 .5rem; }
svg { display: block; width: 100%; } svg.picture { height: 100px; } svg.mini { height: 20px; min-width: 6rem; }
svg.square { max-width: 24rem; } svg.key { display: inline-block; width: 1.6rem; height: .9rem; vertical-align: -.1rem; }
svg text { font: 11px system-ui, sans-serif; fill: var(--ink); } svg .m { text-anchor: middle; }
svg .marks { fill: var(--mark); } svg .e { text-anchor: end; }
rect { stroke: var(--paper); stroke-width: .5; }
.s { fill: var(--seg); } .s2 { fill: var(--seg2); } .w { fill: var(--write); } .w2 { fill: var(--write2); }
.resent { fill: var(--fixed); } .late { fill: var(--late); } .hole { stroke: var(--bad); stroke-width: 3; }
.mark { stroke: var(--mark); stroke-dasharray: 3 2; }
.scale { margin: .4rem 0 0; font-size: .85rem; } ul { margin: .3rem 0; padding-left: 1.2rem; }
code { font-size: .8rem; color: var(--soft); }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: .5rem 0 1.5rem; }
caption { text-align: left; color: var(--soft); }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; } th .soft { font-weight: 400; } table.wraps td { min-width: 4rem; } td[data-name=client] { min-width: 9rem; } td.number, th.number { text-align: right; }
.scroll { overflow-x: auto; }
.missed { color: var(--bad); font-weight: 600; } .met { color: var(--good); }
.tall { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; }
.right1 { background: rgb(40 110 200 / .15); } .right2 { background: rgb(40 110 200 / .35); }
.right3 { background: rgb(40 110 200 / .55); } .wrong1 { background: rgb(200 50 50 / .15); }
.wrong2 { background: rgb(200 50 50 / .3); } .wrong3 { background: rgb(200 50 50 / .45); }
.plot { stroke: currentColor; stroke-opacity: .5; fill: none; } .point { fill: var(--link); stroke: var(--link); }
svg.bars { height: 238px; } ul.kinds { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; padding: 0; list-style: none; }
.k0 { fill: #b5442f; } .k1 { fill: #d7822b; } .k2 { fill: #c9a227; } .k3 { fill: #a8577e; } .k4 { fill: #7562a8; }
.k5 { fill: #3d7ea6; } .k6 { fill: #5b8c3e; } .k7 { fill: #7b8794; }
@media (max-width: 48rem) { body { padding: .6rem; } th, td { padding-right: .3rem; } svg .wide { display: none; } .whole { white-space: normal; }
  table.wraps thead { position: absolute; left: -99rem; } table.wraps tr, table.wraps td, table.wraps th { display: block; border: 0; }
  table.wraps tr { border-bottom: 1px solid var(--line); padding: .4rem 0; } table.wraps td.number { text-align: left; }
  table.wraps td[data-name]::before { content: attr(data-name) ": "; color: var(--soft); } }
@media print { body { max-width: none; } details > * { display: block; } }
)";

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

}  // namespace page
