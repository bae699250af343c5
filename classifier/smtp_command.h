// The commands of SMTP as Postfix's smtpd reads them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace classifier {

// The question that a coming reply will answer.
enum class Asked : std::uint8_t {
  Plain,     // a command that changes nothing here
  Reset,     // HELO, EHLO, MAIL, RSET: on success, the transaction before it ends
  XClient,   // as Reset, but the reply is a new greeting
  Data,      // DATA: 354 begins a message
  Auth,      // AUTH or a line of its exchange
  StartTls,  // 220: all later bytes are encrypted
  Quit,
  Chunk,  // BDAT with its bytes
  End,    // the dot that ends DATA
};

struct Verb {
  std::string_view name;  // in capitals
  Asked asked = Asked::Plain;
};

// Takes the next word off `text`. The separators are those of Postfix (isspace), and NUL. A BDAT
// command with a NUL is not accepted.
std::string_view take_word(std::string_view& text);

// Returns null if the word is not a known verb.
const Verb* find_verb(std::string_view word);

// A command line and its parts. Requires: the text outlives it.
struct Command {
  explicit Command(std::string_view line);
  bool is(std::string_view name) const { return verb != nullptr && verb->name == name; }
  // What the reply to it will answer; Plain if the verb is not known.
  Asked asked() const { return verb == nullptr ? Asked::Plain : verb->asked; }

  std::string_view line;  // with its line end
  std::string_view word;  // the first word, as it was written
  std::string_view rest;  // the text after that word
  const Verb* verb = nullptr;
};

// A session that begins with this word comes from a browser or an open-proxy test, not from a mail
// client.
bool is_http(std::string_view word);

struct ChunkCommand {
  std::uint64_t size = 0;
  bool last = false;
};

// Reads the text after the word BDAT: `SP size [SP LAST]`. Returns nothing for any other text: then
// Postfix closes the connection, and other servers behave differently.
std::optional<ChunkCommand> parse_chunk(std::string_view text);

// Does `text` begin with one of the words, in any case of letters? Or could it, if more bytes came?
bool begins_like_any(std::string_view text, std::span<const std::string_view> words);
bool may_begin_like_any(std::string_view text, std::span<const std::string_view> words);

}  // namespace classifier
