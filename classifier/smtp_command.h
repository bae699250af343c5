// The commands of SMTP as Postfix's smtpd reads them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace classifier {

// What a reply that is to come will be the answer to.
enum class Asked : std::uint8_t {
  Plain,     // a command that changes nothing here
  Reset,     // HELO, EHLO, MAIL, RSET: its success ends the transaction before it
  XClient,   // as Reset; the reply is a new greeting
  Data,      // DATA: 354 begins a message
  Auth,      // AUTH or a line of its exchange
  StartTls,  // 220: opaque from there on
  Quit,
  Chunk,  // BDAT and its bytes
  End,    // the dot
};

struct Verb {
  std::string_view name;  // in capitals
  Asked asked = Asked::Plain;
};

// Takes the next word off `text`. What separates words for Postfix (isspace) does so here. It also
// stops at a NUL, which is a separator here; no BDAT with one is believed.
std::string_view take_word(std::string_view& text);

// Null: the word is no verb that is known.
const Verb* find_verb(std::string_view word);

// A command line, taken apart. The texts are borrowed.
struct Command {
  explicit Command(std::string_view line);
  bool is(std::string_view name) const { return verb != nullptr && verb->name == name; }
  // What the reply to it will be the answer to; Plain, where the verb is not known.
  Asked asked() const { return verb == nullptr ? Asked::Plain : verb->asked; }

  std::string_view line;  // with its line end
  std::string_view word;  // the first one, as it was written
  std::string_view rest;  // behind it
  const Verb* verb = nullptr;
};

// A session that opens with this word is a browser or an open-proxy test, not a mail client.
bool is_http(std::string_view word);

struct ChunkCommand {
  std::uint64_t size = 0;
  bool last = false;
};

// What stands behind the word BDAT: `SP size [SP LAST]`. Nothing when it is anything else: Postfix
// then hangs up, others go on in ways of their own.
std::optional<ChunkCommand> parse_chunk(std::string_view text);

// Whether `text` begins with one of the words, in whatever case; whether more of it could make it so.
bool begins_like_any(std::string_view text, std::span<const std::string_view> words);
bool may_begin_like_any(std::string_view text, std::span<const std::string_view> words);

}  // namespace classifier
