// The two streams of a session, read in step. The client's side is a small machine over lines and
// counted bytes (Phase); the server's side is a queue of what was asked and is not yet answered
// (Asked). The end of DATA and the header fields have scanners of their own.
//
// Where servers differ, Postfix's smtpd is followed: what separates the words of a command, which
// replies to BDAT mean that the chunk was not taken as one, what resets a transaction. Not
// thread-safe.
#include "classifier/smtp_tracker.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "classifier/end_of_data.h"
#include "classifier/header_scanner.h"
#include "classifier/words.h"
#include "text/ascii.h"

namespace classifier {
namespace {

using Bytes = std::span<const char>;

//     Command ──DATA, AUTH, STARTTLS, QUIT; RSET… between chunks──► Held ──reply──► Command
//      │   ▲                                                         ├──354──► Data ──dot──►
//      Command
//   BDAT n │ n bytes                                                 └──334──► AuthLine ──LF──►
//   Held
//      ▼   │                   Held ──too much text behind DATA──► Ahead ──354──► Data
//     Chunk                                                          └──dot──► Held, until 354
//                          any ──221, 421, 521──► Ended            any ──out of step──► Lost
enum class Phase : std::uint8_t {
  Command,   // the next bytes are a command line
  Held,      // what the next bytes are depends on a reply that has not come
  AuthLine,  // the next line answers a 334 challenge
  Ahead,     // the same, in front of its 354
  Data,      // message bytes up to the dot
  Chunk,     // message bytes, counted
  Ended,     // the server closes; nothing more is parsed
  Lost,
};

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

struct Outstanding {
  Asked asked = Asked::Plain;
  std::uint32_t transaction = 0;  // Chunk: the transaction it belongs to
  std::uint32_t ordinal = 0;      // End, Chunk: the message whose last byte it brought; 0: none
};

struct Verb {
  std::string_view name;
  Asked asked;
};

constexpr std::array kVerbs = {
    Verb{"EHLO", Asked::Reset},        Verb{"HELO", Asked::Reset},     Verb{"MAIL", Asked::Reset},
    Verb{"RCPT", Asked::Plain},        Verb{"DATA", Asked::Data},      Verb{"BDAT", Asked::Chunk},
    Verb{"RSET", Asked::Reset},        Verb{"QUIT", Asked::Quit},      Verb{"NOOP", Asked::Plain},
    Verb{"AUTH", Asked::Auth},         Verb{"VRFY", Asked::Plain},     Verb{"EXPN", Asked::Plain},
    Verb{"STARTTLS", Asked::StartTls}, Verb{"HELP", Asked::Plain},     Verb{"ETRN", Asked::Plain},
    Verb{"XCLIENT", Asked::XClient},   Verb{"XFORWARD", Asked::Plain},
};

// A session that opens with one of these is a browser or an open-proxy test, not a mail client.
constexpr std::array<std::string_view, 3> kHttp = {"GET", "POST", "CONNECT"};

// What a client sends behind DATA that was refused, rather than text.
constexpr std::array<std::string_view, 4> kInsteadOfText = {"QUIT\r\n", "RSET\r\n",
                                                            "MAIL FROM:", "EHLO "};

// By what a command is known where the bytes in front of it were not seen: they could be text.
constexpr std::array<std::string_view, 9> kBehindGap = {
    "EHLO ", "HELO ",    "MAIL FROM:", "RCPT TO:",    "DATA\r\n",
    "BDAT ", "RSET\r\n", "QUIT\r\n",   "STARTTLS\r\n"};

// So many lines that are no commands are text.
constexpr std::uint32_t kLinesOfText = 3;

// The first byte of a TLS record that carries a handshake. RFC 8446, 5.1.
constexpr char kTlsHandshake = 0x16;

// A record header as both hellos have it, whose STARTTLS may not have been seen.
bool begins_tls(Bytes bytes) {
  constexpr char kMajor = 3;
  constexpr char kMostMinor = 3;
  return bytes.size() > 2 && bytes[0] == kTlsHandshake && bytes[1] == kMajor && bytes[2] >= 0 &&
         bytes[2] <= kMostMinor;
}

// How DATA ends when the line in front of the dot is empty.
constexpr std::string_view kBlankEnd = "\r\n\r\n.\r\n";

// What separates words for Postfix (isspace). It also stops at a NUL; we treat that as a separator
// and see to it that no BDAT with one is believed.
bool separates(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || c == '\0';
}

// Takes the next word off `text`.
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

// Whether two texts are alike as far as the shorter one goes.
bool agree(std::string_view text, std::string_view word) {
  const std::size_t size = std::min(text.size(), word.size());
  return text::same(word.substr(0, size), text.substr(0, size));
}

using Words = std::span<const std::string_view>;

bool begins_any(Words words, std::string_view text) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.size() >= word.size() && agree(text, word);
  });
}

// More of `text` could make it begin with one of `words`.
bool may_begin_any(Words words, std::string_view text) {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) {
    return text.size() < word.size() && agree(text, word);
  });
}

struct ChunkCommand {
  std::uint64_t size = 0;
  bool last = false;
};

// What stands behind the word BDAT: `SP size [SP LAST]`. Nothing when it is anything else: Postfix
// then hangs up, others go on in ways of their own.
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

// Joins the server's bytes into replies; of each line it keeps the code and the status behind it.
class ReplyReader {
 public:
  enum class Got : std::uint8_t { More, Reply, Malformed };

  explicit ReplyReader(std::size_t limit) : limit_(limit) {}

  // Takes bytes off `bytes`, up to the end of one reply.
  Got read(Bytes& bytes) {
    while (!bytes.empty()) {
      const auto* lf = static_cast<const char*>(std::memchr(bytes.data(), '\n', bytes.size()));
      const std::size_t size = lf == nullptr ? bytes.size() : lf + 1 - bytes.data();
      const std::size_t keep = std::min(size, head_.size() - std::min(size_, head_.size()));
      std::copy_n(bytes.begin(), keep, head_.begin() + std::min(size_, head_.size()));
      size_ += size;
      bytes = bytes.subspan(size);
      if (size_ > limit_) return Got::Malformed;
      if (lf == nullptr) return Got::More;
      const char mark = parse_line();
      if (mark == '\0') return Got::Malformed;
      if (mark != '-') return Got::Reply;
    }
    return Got::More;
  }

  int code() const { return code_; }
  // What comes next is not the rest of the line in hand, and may be the rest of another one.
  void forget() { size_ = 0; }
  // The enhanced status code's subject and detail are ".7.0": other or undefined security status.
  bool security_status() const { return std::string_view(&head_[5], 4) == ".7.0"; }

 private:
  // Requires: a whole line is in. Returns what follows the code: '-', or ' ' for the last line.
  char parse_line() {
    const std::size_t size = std::exchange(size_, 0);
    std::fill(head_.begin() + std::min(size, head_.size()), head_.end(), '\0');
    const auto digit = [&](std::size_t i) { return head_[i] >= '0' && head_[i] <= '9'; };
    if (size < 4 || head_[0] < '2' || head_[0] > '5' || !digit(1) || !digit(2)) return '\0';
    code_ = (head_[0] - '0') * 100 + (head_[1] - '0') * 10 + (head_[2] - '0');
    switch (head_[3]) {
      case '-':
        return '-';
      case ' ':
      case '\r':
      case '\n':
        return ' ';
      default:
        return '\0';
    }
  }

  std::size_t limit_;
  std::array<char, 16> head_{};
  std::size_t size_ = 0;  // bytes of the current line
  int code_ = 0;
};

bool closes(int code) {
  return code == 221 || code == 421 || code == 521;
}
bool succeeded(int code) {
  return code / 100 == 2;
}
bool failed(int code) {
  return code >= 400;
}

}  // namespace

struct SmtpTracker::Impl {
  Impl(Listener& l, Limits given) : listener(l), limits(given), replies(given.reply_line) {}

  // --- the client's side ---------------------------------------------------------------------

  void client(Bytes bytes) {
    if (bytes.empty()) return;
    const bool first = offset == 0;
    offset += bytes.size();
    if (phase == Phase::Lost || phase == Phase::Ended) return;
    if (first && bytes.front() == kTlsHandshake) return lose(Reason::Encrypted);
    if (skipping && (begins_tls(bytes) || is_binary({bytes.data(), bytes.size()}))) {
      return lose(Reason::Encrypted);
    }
    if (!greeted) dialogue.early_talker = true;
    if (phase != Phase::Held) bytes = bytes.subspan(parse(bytes));
    if (phase == Phase::Held) hold(bytes);
    if (unheard) assume_answers();
  }

  // --- where a capture lost something --------------------------------------------------------

  void unhear() {
    if (phase == Phase::Lost || phase == Phase::Ended) return;
    unheard = greeted = true;
    replies.forget();
    assume_answers();
  }

  // Takes it that what was asked was answered as the client's next bytes show.
  void assume_answers() {
    while (!outstanding.empty() && phase != Phase::Lost && phase != Phase::Ended) {
      const Asked asked = outstanding.front().asked;
      if (asked == Asked::Chunk && phase == Phase::Chunk && outstanding.size() == 1) return;
      const int code = likely_reply(asked);
      if (code == 0) return;
      // An end that not every server sees, and no command behind it: nobody can tell any more.
      if (asked == Asked::End && other_end && !begins_any(kBehindGap, waiting())) {
        return lose(Reason::Ambiguous);
      }
      reply(code);
    }
  }

  std::string_view waiting() const { return std::string_view(held).substr(held_used); }

  // 0: the client's next bytes will tell, and they have not come.
  int likely_reply(Asked asked) const {
    const std::string_view next = waiting();
    switch (asked) {
      case Asked::Data:
        if (ahead) return 354;
        if (may_begin_any(kInsteadOfText, next)) return 0;
        return begins_any(kInsteadOfText, next) ? 554 : 354;
      case Asked::Auth: {
        if (next.find('\n') == next.npos) return 0;
        std::string_view rest = next;
        return find_verb(take_word(rest)) == nullptr ? 334 : 235;
      }
      case Asked::StartTls:
      case Asked::XClient:
        return 220;
      case Asked::Quit:
        return 221;
      case Asked::End:
        return other_end && next.empty() ? 0 : 250;
      case Asked::Plain:
      case Asked::Reset:
      case Asked::Chunk:
        break;
    }
    return 250;
  }

  // Replies whose questions cannot be told any more. Only 354 says what the client's next bytes
  // are, whatever else was lost.
  void overhear(Bytes bytes) {
    if (skipping && begins_tls(bytes)) return lose(Reason::Encrypted);
    while (!bytes.empty() && phase != Phase::Lost && phase != Phase::Ended) {
      if (replies.read(bytes) != ReplyReader::Got::Reply || replies.code() != 354) continue;
      if (phase == Phase::Held && !outstanding.empty() &&
          outstanding.front().asked == Asked::Data) {
        reply(354);
      } else if (phase == Phase::Command && unseen_command && line_size == 0) {
        begin_message(Transfer::Data);
        skipping = false;
        phase = Phase::Data;
      }
    }
    if (unheard) assume_answers();
  }

  // What comes next was not seen, and DATA is waiting for it.
  bool assume_text() {
    if (phase != Phase::Held || !waiting().empty()) return false;
    if (outstanding.empty() || outstanding.back().asked != Asked::Data) return false;
    unhear();
    if (phase != Phase::Held || outstanding.size() != 1) return false;
    reply(354);
    return phase == Phase::Data;
  }

  // Requires: the caller has put filler in the place of what a message lacks; this is a gap among
  // commands.
  void command_gap(std::uint64_t size) {
    offset += size;
    if (phase == Phase::Lost || phase == Phase::Ended) return;
    unhear();
    if (phase == Phase::Lost || phase == Phase::Ended) return;
    // What cannot be commands alone was text.
    constexpr std::uint64_t kLongestCommands = 1024;
    gap_bytes += size;
    const bool text = chunking || (size > kLongestCommands && !(skipping && told_of_skipped));
    const bool told = skipping && told_of_skipped;
    resume();
    told_of_skipped = told || text;
    if (text && !told) listener.on_text_skipped();
  }

  // A transaction that was begun is over, and its text was not seen: was there room for one?
  void note_unseen_text() {
    constexpr std::uint64_t kShortCommands = 32;
    if (open && unseen_command && gap_bytes > kShortCommands && !told_of_skipped) {
      listener.on_text_skipped();
    }
    gap_bytes = 0;
  }

  // Nothing comes any more.
  void end() {
    note_unseen_text();
    const bool between_chunks = phase == Phase::Command || phase == Phase::Held;
    if (chunking && !refused && between_chunks) listener.on_text_skipped();
    if (phase == Phase::Data && message.size != 0) cut_text();
  }

  // The next bytes of text are not the sender's: what lies in its header is not known.
  void text_gap() {
    const bool text = phase == Phase::Data || phase == Phase::Ahead || phase == Phase::Chunk;
    if (text) header_missed |= !headers.over();
  }

  // Commands begin somewhere behind the last byte that was given.
  void resume() {
    unheard = greeted = true;
    replies.forget();
    partial.clear();
    line_size = 0;
    held.clear();
    held_used = 0;
    outstanding.clear();
    other_end.reset();
    forget_ahead();
    if (chunking) forget_transaction();
    phase = Phase::Command;
    at = line_begin = offset;
    unseen_command = skipping = true;
    told_of_skipped = false;
    skipped_lines = 0;
    forget_mail_words();
  }

  void forget_mail_words() {
    dialogue.soft_path = dialogue.eight_bit = dialogue.seven_bit = false;
    dialogue.body_first = dialogue.dsn = dialogue.rcpt_ahead = dialogue.data_ahead = false;
    dialogue.declared = 0;
  }

  // Text whose beginning was not seen runs up to its dot or the next command.
  bool skip_line(std::string_view text) {
    if (!skipping) return false;
    if (begins_any(kBehindGap, text)) {
      skipping = false;
      behind_gap = true;
      return false;
    }
    ++skipped_lines;
    if (text == ".\r\n" || skipped_lines == kLinesOfText) {
      if (!std::exchange(told_of_skipped, true)) listener.on_text_skipped();
    }
    if (text == ".\r\n") told_of_skipped = false;
    return true;
  }

  // Returns how many bytes were used: all, unless the phase does not let it go on.
  std::size_t parse(Bytes bytes) {
    std::size_t used = 0;
    while (used < bytes.size()) {
      const Bytes rest = bytes.subspan(used);
      switch (phase) {
        case Phase::Command:
          used += in_command(rest);
          break;
        case Phase::AuthLine:
          used += in_auth_line(rest);
          break;
        case Phase::Ahead:
          used += in_ahead(rest);
          break;
        case Phase::Data:
          used += in_data(rest);
          break;
        case Phase::Chunk:
          used += in_chunk(rest);
          break;
        case Phase::Held:
        case Phase::Ended:
        case Phase::Lost:
          return used;
      }
    }
    return used;
  }

  void hold(Bytes bytes) {
    if (held.size() - held_used + bytes.size() > limits.held) {
      if (can_read_ahead()) return read_ahead(bytes);
      return lose(other_end ? Reason::Ambiguous : Reason::Lost);
    }
    if (held_used > held.size() / 2) held.erase(0, std::exchange(held_used, 0));
    held.append(bytes.data(), bytes.size());
    doubt(bytes);
  }

  // Bytes behind an end that not every server sees: is there another one?
  void doubt(Bytes bytes) {
    if (other_end && other_end->scan(bytes).found != EndOfData::Found::Nothing) {
      lose(Reason::Ambiguous);
    }
  }

  // The reply came: the held bytes are what `next` says.
  void release(Phase next) {
    phase = next;
    released = offset;
    other_end.reset();
    held_used += parse(Bytes(held).subspan(held_used));
    if (phase != Phase::Held || held_used == held.size()) {
      std::string().swap(held);  // and its room: the session may be silent from here on
      held_used = 0;
    } else {
      doubt(Bytes(held).subspan(held_used));
    }
  }

  struct Line {
    std::size_t used = 0;
    bool whole = false;
  };

  // Finds the line's end and counts its bytes.
  Line take_line(Bytes bytes, std::size_t limit) {
    if (line_size == 0) {
      line_begin = at;
      pipelined = !unheard && (!outstanding.empty() || at < released);
    }
    const std::size_t look = std::min(bytes.size(), limit - line_size);
    const void* lf = std::memchr(bytes.data(), '\n', look);
    const std::size_t used = lf ? static_cast<const char*>(lf) + 1 - bytes.data() : look;
    line_size += used;
    at += used;
    if (lf == nullptr && line_size >= limit) lose(Reason::Lost);
    return {used, lf != nullptr};
  }

  std::size_t in_command(Bytes bytes) {
    const Line line = take_line(bytes, limits.command_line);
    if (phase == Phase::Lost) return line.used;
    if (!line.whole) {
      partial.append(bytes.data(), line.used);
      return line.used;
    }
    line_size = 0;
    if (partial.empty()) {
      command({bytes.data(), line.used});
    } else {
      partial.append(bytes.data(), line.used);
      const std::string whole = std::exchange(partial, {});
      command(whole);
    }
    line_begin = at;
    return line.used;
  }

  std::size_t in_auth_line(Bytes bytes) {
    const Line line = take_line(bytes, limits.auth_line);
    if (phase == Phase::Lost || !line.whole) return line.used;
    line_size = 0;
    line_begin = at;
    ask({.asked = Asked::Auth});
    if (phase != Phase::Lost) phase = Phase::Held;
    return line.used;
  }

  void command(std::string_view text) {
    if (skip_line(text)) return;
    std::string_view rest = text;
    const std::string_view word = take_word(rest);
    const bool first = std::exchange(first_command, false);
    if (first && std::find(kHttp.begin(), kHttp.end(), word) != kHttp.end()) {
      return lose(Reason::NotMail);
    }
    const Verb* verb = find_verb(word);
    if (verb != nullptr && (verb->asked == Asked::Quit || verb->name == "MAIL")) note_unseen_text();
    note_habits(text, word, verb);
    listener.on_command({line_begin, at});
    const bool unsure = std::exchange(behind_gap, false);
    if (verb != nullptr && verb->asked == Asked::Chunk) return begin_chunk(rest, unsure);
    const Asked asked = verb == nullptr ? Asked::Plain : verb->asked;
    ask({.asked = asked});
    if (phase != Phase::Lost && waits_for_reply(asked)) phase = Phase::Held;
  }

  // Between two chunks a command that may end the transaction decides whose chunk the next one is.
  bool waits_for_reply(Asked asked) const {
    switch (asked) {
      case Asked::Data:
      case Asked::Auth:
      case Asked::StartTls:
      case Asked::Quit:
        return true;
      case Asked::Reset:
      case Asked::XClient:
        return chunking;
      case Asked::Plain:
      case Asked::Chunk:
      case Asked::End:
        return false;
    }
    return false;
  }

  void note_habits(std::string_view text, std::string_view word, const Verb* verb) {
    if (pipelined) dialogue.pipelined = true;
    if (text.size() < 2 || text[text.size() - 2] != '\r') dialogue.bare_lf = true;
    if (verb == nullptr) return;
    (word == verb->name ? capitals : dialogue.lower_case) = true;
    dialogue.mixed_case = capitals && dialogue.lower_case;
    std::string_view rest = text;
    while (!rest.empty() && (rest.back() == '\n' || rest.back() == '\r')) rest.remove_suffix(1);
    if (!rest.empty() && (rest.back() == ' ' || rest.back() == '\t')) {
      dialogue.trailing_space = true;
    }
    (void)take_word(rest);
    if (verb->name == "EHLO" || verb->name == "HELO") return note_greeting(*verb, rest);
    if (verb->name == "MAIL" || verb->name == "RCPT") return note_envelope(*verb, rest);
    if (verb->name == "DATA" || (verb->name == "BDAT" && !chunking)) {
      dialogue.data_ahead = pipelined;
    } else if (verb->name == "RSET") {
      reset_asked = true;
      open = false;
    } else if (verb->name == "AUTH") {
      dialogue.auth = true;
    }
  }

  void note_greeting(const Verb& verb, std::string_view rest) {
    using Greeting = Dialogue::Greeting;
    const bool ehlo = verb.name == "EHLO";
    dialogue.fallback = !ehlo && dialogue.greeting == Greeting::Ehlo;
    dialogue.greeting = ehlo ? Greeting::Ehlo : Greeting::Helo;
    const std::string_view host = take_word(rest);
    helo = host.substr(0, Claims::kLongest);
    dialogue.literal = host.starts_with('[');
    dialogue.dotless = !dialogue.literal && host.find('.') == host.npos;
  }

  // `rest` is what follows MAIL or RCPT, without the line end.
  void note_envelope(const Verb& verb, std::string_view rest) {
    const bool mail = verb.name == "MAIL";
    if (mail) {
      open = true;
      dialogue.rset = std::exchange(reset_asked, false);
      forget_mail_words();
    } else if (after_mail) {
      dialogue.rcpt_ahead = pipelined;
    }
    after_mail = mail;
    const std::size_t colon = rest.find(':');
    const std::uint64_t arguments = colon == rest.npos ? 0 : argument_size(rest.substr(colon + 1));
    mail ? envelope.add_mail(arguments) : envelope.add_rcpt(arguments);
    if (colon == rest.npos) return;
    const std::string_view path = rest.substr(0, colon);
    dialogue.soft_path = dialogue.soft_path || std::any_of(path.begin(), path.end(), [](char c) {
                           return c >= 'a' && c <= 'z';
                         });
    rest.remove_prefix(colon + 1);
    if (rest.starts_with(' ') || rest.starts_with('\t')) dialogue.space_after_colon = true;
    (void)take_word(rest);
    for (auto word = take_word(rest); !word.empty(); word = take_word(rest))
      note_mail_parameter(word, dialogue);
  }

  void ask(Outstanding what) {
    // Where answers are assumed, that to the oldest one is.
    if (unheard && outstanding.size() >= limits.outstanding) outstanding.pop_front();
    if (outstanding.size() >= limits.outstanding) return lose(Reason::Lost);
    outstanding.push_back(what);
  }

  // --- messages ------------------------------------------------------------------------------

  void begin_message(Transfer transfer) {
    unseen_command = header_missed = false;
    gap_bytes = 0;
    message = Message{};
    message.transfer = transfer;
    message_begin = at;
    headers = HeaderScanner(transfer);
    dot = EndOfData{};
    tail = Tail::Lf;  // it begins behind a line end
    last.fill('\0');
  }

  void take_message_bytes(Bytes bytes) {
    if (bytes.empty()) return;
    headers.feed(bytes);
    note_last(bytes);
    tail = tail_of(bytes.back());
    message.size += bytes.size();
    at += bytes.size();
  }

  // Keeps the message's last bytes, for the line in front of the dot.
  void note_last(Bytes bytes) {
    const std::size_t fresh = std::min(bytes.size(), last.size());
    std::copy(last.begin() + static_cast<std::ptrdiff_t>(fresh), last.end(), last.begin());
    std::copy(bytes.end() - static_cast<std::ptrdiff_t>(fresh), bytes.end(),
              last.end() - static_cast<std::ptrdiff_t>(fresh));
  }

  std::uint32_t end_message(std::uint8_t terminator) {
    const Dialogue own = std::exchange(message.dialogue, dialogue);
    message.dialogue.early_data = own.early_data;
    message.dialogue.chunks = own.chunks;
    message.dialogue.blank_end =
        terminator != 0 && std::string_view(last.data(), last.size()) == kBlankEnd;
    if (!header_missed) {
      message.landmarks = headers.finish();
      message.claims = headers.take_claims();
    }
    message.claims.helo = helo;
    message.envelope = std::exchange(envelope, {});
    message.landmarks.terminator = terminator;
    message.ordinal = ++ordinals;
    line_begin = at;
    open = false;
    return message.ordinal;
  }

  EndOfData::Step take_text(Bytes bytes) {
    const EndOfData::Step step = dot.scan(bytes);
    take_message_bytes(bytes.first(step.used));
    return step;
  }

  std::size_t in_data(Bytes bytes) {
    const EndOfData::Step step = take_text(bytes);
    if (step.found != EndOfData::Found::Nothing) end_text(step);
    return step.used;
  }

  void end_text(const EndOfData::Step& step) {
    end_data(step.dot_line);
    if (step.found == EndOfData::Found::Ambiguous && phase == Phase::Command) {
      phase = Phase::Held;
      other_end.emplace();
    }
  }

  // --- text in front of 354, more than is held -------------------------------------------------

  // Nothing was parsed behind DATA, so it is the last command that was asked.
  bool can_read_ahead() const {
    return !ahead && !chunking && !outstanding.empty() && outstanding.back().asked == Asked::Data;
  }

  // DATA is answered with 354 almost always, so the text is read as that message and not kept. It
  // is told of when the 354 has come; what waits behind its dot is held.
  void read_ahead(Bytes bytes) {
    const std::string text = std::exchange(held, {});
    const std::size_t begin = std::exchange(held_used, 0);
    begin_message(Transfer::Data);
    message.dialogue.early_data = true;
    ahead = true;
    phase = Phase::Ahead;
    for (const Bytes part : {Bytes(text).subspan(begin), bytes}) {
      const Bytes rest = phase == Phase::Ahead ? part.subspan(parse(part)) : part;
      if (phase == Phase::Held) hold(rest);
    }
  }

  std::size_t in_ahead(Bytes bytes) {
    const EndOfData::Step step = take_text(bytes);
    if (step.found != EndOfData::Found::Nothing) {
      ahead_end = step;
      phase = Phase::Held;
    }
    return step.used;
  }

  // Text that was refused is commands to the server, and they were not kept.
  void answer_ahead(int code) {
    const std::optional<EndOfData::Step> end = ahead_end;
    forget_ahead();
    if (code != 354) return lose(Reason::Lost);
    released = offset;
    phase = end ? Phase::Command : Phase::Data;
    if (end) end_text(*end);
    if (phase == Phase::Command) return release(phase);
    if (phase == Phase::Held) doubt(Bytes(held).subspan(held_used));
  }

  void forget_ahead() {
    ahead = false;
    ahead_end.reset();
  }

  void end_data(std::uint8_t dot_line) {
    message.spans.push_back({message_begin, at});
    message.tails.push_back(tail);
    const std::uint32_t ordinal = end_message(dot_line);
    phase = Phase::Command;
    ask({.asked = Asked::End, .ordinal = ordinal});
    if (phase != Phase::Lost) listener.on_message(std::move(message));
  }

  // No end was seen, and none comes any more.
  void cut_text() {
    message.spans.push_back({message_begin, at});
    message.tails.push_back(tail);
    message.cut = true;
    end_message(0);
    phase = Phase::Ended;
    listener.on_message(std::move(message));
  }

  // `unsure`: the command in front of it was not seen, and may have been a chunk of the message.
  void begin_chunk(std::string_view arguments, bool unsure) {
    const std::optional<ChunkCommand> chunk = parse_chunk(arguments);
    if (!chunk) {
      open = false;  // refused without a byte of a message
      return lose(Reason::Lost);
    }
    if (!chunking) {
      chunking = true;
      refused = false;
      chunk_count = 0;
      begin_message(Transfer::Bdat);
      message.may_lack_chunks = unsure;
    }
    if (++chunk_count > limits.chunks) return lose(Reason::Lost);
    ask({.asked = Asked::Chunk, .transaction = transaction});
    if (phase == Phase::Lost) return;
    chunk_begin = at;
    chunk_left = chunk->size;
    chunk_last = chunk->last;
    phase = Phase::Chunk;
    if (chunk_left == 0) end_chunk();
  }

  std::size_t in_chunk(Bytes bytes) {
    const std::size_t size = std::min<std::uint64_t>(bytes.size(), chunk_left);
    if (refused) {
      at += size;
    } else {
      take_message_bytes(bytes.first(size));
    }
    chunk_left -= size;
    if (chunk_left == 0) end_chunk();
    return size;
  }

  void end_chunk() {
    phase = Phase::Command;
    line_begin = at;
    if (!refused && at > chunk_begin) {
      message.spans.push_back({chunk_begin, at});
      message.tails.push_back(tail);
    }
    if (!chunk_last) return;
    const bool taken = !refused;
    forget_transaction();
    if (!taken) return;
    message.dialogue.chunks = static_cast<std::uint8_t>(
        std::min<std::size_t>(chunk_count, std::numeric_limits<std::uint8_t>::max()));
    outstanding.back().ordinal = end_message(0);
    listener.on_message(std::move(message));
  }

  // The chunks so far are no message. Those that are still to come are skipped until the last one
  // or a reset, as Postfix does.
  void refuse_chunks() {
    refused = true;
    message = Message{};
  }

  void forget_transaction() {
    chunking = false;
    refused = false;
    ++transaction;
  }

  // --- the server's side ---------------------------------------------------------------------

  void server(Bytes bytes) {
    if (unheard) return overhear(bytes);
    while (!bytes.empty() && phase != Phase::Lost && phase != Phase::Ended) {
      switch (replies.read(bytes)) {
        case ReplyReader::Got::More:
          break;
        case ReplyReader::Got::Reply:
          reply(replies.code());
          break;
        case ReplyReader::Got::Malformed:
          lose(greeted ? Reason::Lost : Reason::NotMail);
          break;
      }
    }
  }

  void reply(int code) {
    if (!greeted) return greet(code);
    if (std::exchange(greeting_assumed, false) && code == 220) return;
    if (outstanding.empty()) {
      if (code != 421) return lose(Reason::Lost);
      phase = Phase::Ended;
      return;
    }
    const Outstanding what = outstanding.front();
    outstanding.pop_front();
    if (what.ordinal != 0 && code / 100 != 3) listener.on_answer(what.ordinal);
    if (closes(code)) {
      phase = Phase::Ended;
    } else {
      answer(what, code);
    }
  }

  void greet(int code) {
    if (code != 220 && !failed(code)) return lose(Reason::NotMail);
    greeted = true;
    if (closes(code)) phase = Phase::Ended;
  }

  // Whether the reply is the one that the held bytes wait for: nothing was asked behind it.
  bool releases() const { return phase == Phase::Held && outstanding.empty(); }

  void answer(const Outstanding& what, int code) {
    switch (what.asked) {
      case Asked::Data:
        return answer_data(code);
      case Asked::Auth:
        if (code == 334) return release(Phase::AuthLine);
        break;
      case Asked::Chunk:
        return answer_chunk(what, code);
      case Asked::StartTls:
        if (!failed(code)) return lose(code == 220 ? Reason::Encrypted : Reason::Lost);
        break;
      case Asked::XClient:
        if (code == 220) dialogue.greeting = Dialogue::Greeting::None;
        [[fallthrough]];
      case Asked::Reset:
        if (releases() && succeeded(code)) forget_transaction();
        break;
      case Asked::Plain:
      case Asked::Quit:
      case Asked::End:
        break;
    }
    if (code / 100 == 3) return lose(Reason::Lost);
    if (releases()) release(Phase::Command);
  }

  void answer_data(int code) {
    if (ahead) return answer_ahead(code);
    if (failed(code)) return release(Phase::Command);
    if (code != 354) return lose(Reason::Lost);
    if (chunking) forget_transaction();  // Postfix refuses DATA behind BDAT; others may not
    begin_message(Transfer::Data);
    message.dialogue.early_data = !unheard && held.size() > held_used;
    release(Phase::Data);
  }

  void answer_chunk(const Outstanding& what, int code) {
    const bool running = phase == Phase::Chunk && outstanding.empty();
    if (code / 100 == 3 || (running && succeeded(code))) return lose(Reason::Lost);
    if (succeeded(code)) return;
    if (not_taken(code)) return lose(Reason::Lost);
    if (chunking && what.transaction == transaction) refuse_chunks();
  }

  // Replies that refuse the command and not the chunk (not implemented, access denied, must issue
  // STARTTLS first): the server then reads the chunk's bytes as commands.
  bool not_taken(int code) const {
    const int detail = code % 100;
    return detail <= 2 || detail == 30 || (detail == 3 && replies.security_status());
  }

  void lose(Reason reason) {
    phase = Phase::Lost;
    other_end.reset();
    forget_ahead();
    outstanding.clear();
    held.clear();
    held.shrink_to_fit();
    held_used = 0;
    partial.clear();
    message = Message{};
    listener.on_lost(reason);
  }

  bool all_answered() const { return phase != Phase::Lost && greeted && outstanding.empty(); }

  bool between_transactions() const {
    return phase == Phase::Command && greeted && outstanding.empty() && line_size == 0 && !open;
  }

  std::uint64_t needed_from() const {
    switch (phase) {
      case Phase::Lost:
      case Phase::Ended:
        return offset;
      case Phase::Ahead:
      case Phase::Data:
        return message_begin;
      case Phase::Command:
      case Phase::Held:
      case Phase::AuthLine:
      case Phase::Chunk:
        break;
    }
    return chunking && !refused ? std::min(message_begin, line_begin) : line_begin;
  }

  Listener& listener;
  const Limits limits;
  Phase phase = Phase::Command;

  std::uint64_t offset = 0;      // client bytes given
  std::uint64_t at = 0;          // client bytes parsed
  std::uint64_t line_begin = 0;  // where the command line in hand began
  std::uint64_t released = 0;    // bytes before this offset came before the last reply
  std::size_t line_size = 0;     // bytes of the line in hand that were seen
  std::string partial;           // those bytes, when the line was cut
  bool pipelined = false;        // the line in hand began before the reply to the one before it
  std::string held;              // client bytes that wait for a reply
  std::size_t held_used = 0;     // of them, those that were parsed
  bool first_command = true;

  ReplyReader replies;
  std::deque<Outstanding> outstanding;
  bool greeted = false;
  bool greeting_assumed = false;  // it was not seen, nor a reply since

  bool unheard = false;         // replies were lost: answers are assumed
  bool unseen_command = false;  // a gap among commands since the last message began
  std::uint64_t gap_bytes = 0;  // of those gaps
  bool skipping = false;        // behind that gap no command was found yet
  bool behind_gap = false;      // the command in hand is the first one that was found
  bool told_of_skipped = false;
  bool header_missed = false;  // of the message in hand
  std::uint32_t skipped_lines = 0;

  Dialogue dialogue;
  std::uint32_t ordinals = 0;
  Message message;  // the one in hand
  std::uint64_t message_begin = 0;
  HeaderScanner headers;
  EndOfData dot;
  std::optional<EndOfData> other_end;        // the message may go on: what was told is one reading
  bool ahead = false;                        // the message in hand is in front of its 354
  std::optional<EndOfData::Step> ahead_end;  // and it has ended
  Tail tail = Tail::Other;
  std::array<char, kBlankEnd.size()> last{};  // of the message, zeros in front of its beginning
  EnvelopeSizes envelope;                     // since the last message
  std::string helo;                           // the greeting's name
  bool capitals = false;                      // a verb was written in capitals
  bool reset_asked = false;                   // RSET since the last MAIL
  bool after_mail = false;                    // no RCPT yet

  bool open = false;              // since the last MAIL neither a message was sent nor RSET
  bool chunking = false;          // behind a chunk that was not the last
  bool refused = false;           // of this transaction a chunk was refused
  std::uint32_t transaction = 0;  // tells a chunk's late refusal from the next message's chunks
  std::size_t chunk_count = 0;    // of this transaction
  std::uint64_t chunk_begin = 0;
  std::uint64_t chunk_left = 0;
  bool chunk_last = false;
};

SmtpTracker::SmtpTracker(Listener& listener, Limits limits)
    : impl_(std::make_unique<Impl>(listener, limits)) {}

SmtpTracker::~SmtpTracker() = default;

void SmtpTracker::client(std::span<const char> bytes) {
  impl_->client(bytes);
}

void SmtpTracker::server(std::span<const char> bytes) {
  impl_->server(bytes);
}

void SmtpTracker::assume_greeting() {
  impl_->greeted = impl_->greeting_assumed = true;
}

void SmtpTracker::assume_answers() {
  impl_->unhear();
}

void SmtpTracker::command_gap(std::uint64_t size) {
  impl_->command_gap(size);
}

void SmtpTracker::end() {
  impl_->end();
}

void SmtpTracker::resume() {
  impl_->resume();
}

bool SmtpTracker::assume_text() {
  return impl_->assume_text();
}

void SmtpTracker::text_gap() {
  impl_->text_gap();
}

bool SmtpTracker::answers_assumed() const {
  return impl_->unheard;
}

std::uint64_t SmtpTracker::text_left() const {
  switch (impl_->phase) {
    case Phase::Ahead:
    case Phase::Data:
      return std::numeric_limits<std::uint64_t>::max();
    case Phase::Chunk:
      return impl_->chunk_left;
    case Phase::Command:
    case Phase::Held:
    case Phase::AuthLine:
    case Phase::Ended:
    case Phase::Lost:
      return 0;
  }
  return 0;
}

bool SmtpTracker::in_data() const {
  return impl_->phase == Phase::Data || impl_->phase == Phase::Ahead;
}

Tail SmtpTracker::text_tail() const {
  return impl_->tail;
}

bool SmtpTracker::in_transaction() const {
  return impl_->open;
}

bool SmtpTracker::lost() const {
  return impl_->phase == Phase::Lost;
}

bool SmtpTracker::all_answered() const {
  return impl_->all_answered();
}

bool SmtpTracker::between_transactions() const {
  return impl_->between_transactions();
}

std::uint64_t SmtpTracker::text_ahead() const {
  // Behind the session's end nothing is a command.
  const bool over = impl_->phase == Phase::Ended || impl_->phase == Phase::Lost;
  if (impl_->phase == Phase::Ahead) return 0;  // until the 354 has come it may be commands
  return over ? std::numeric_limits<std::uint64_t>::max() : text_left();
}

const std::string& SmtpTracker::helo() const {
  return impl_->helo;
}

std::size_t SmtpTracker::held() const {
  return impl_->held.capacity() + impl_->partial.capacity();
}

bool SmtpTracker::behind() const {
  return impl_->held.size() != impl_->held_used || impl_->ahead;
}

bool SmtpTracker::owes_answer() const {
  const auto& asked = impl_->outstanding;
  return behind() || std::any_of(asked.begin(), asked.end(),
                                 [](const Outstanding& what) { return what.ordinal != 0; });
}

bool SmtpTracker::greeted() const {
  return impl_->greeted;
}

const Dialogue& SmtpTracker::dialogue() const {
  return impl_->dialogue;
}

std::uint64_t SmtpTracker::client_offset() const {
  return impl_->offset;
}

std::uint64_t SmtpTracker::needed_from() const {
  return impl_->needed_from();
}

}  // namespace classifier
