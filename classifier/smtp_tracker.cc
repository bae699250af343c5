// Reads the two streams of a session in step. The client's side is a small state machine over lines
// and counted bytes (Phase). The server's side is a queue of commands that are not yet answered
// (Asked). The end of DATA and the header fields have scanners of their own.
//
// Where servers differ, the tracker follows Postfix's smtpd: in what separates the words of a
// command, in the replies to BDAT after which the chunk is read as commands, and in what resets a
// transaction.
//
// Other files read what one line, one reply or one message says (smtp_command.h, reply_reader.h,
// habits.h, message_reader.h, behind_gap.h). This file decides when each is read. It has more than
// 450 lines, because each byte and each reply may change the one state that both sides share. Not
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

#include "classifier/behind_gap.h"
#include "classifier/end_of_data.h"
#include "classifier/habits.h"
#include "classifier/message_reader.h"
#include "classifier/reply_reader.h"
#include "classifier/smtp_command.h"
#include "classifier/smtp_words.h"

namespace classifier {
namespace {

using Bytes = std::span<const char>;

//     Command ──DATA, AUTH, STARTTLS, QUIT; RSET… between chunks──► AwaitReply
//     Command ──BDAT n──► Chunk ──n bytes──► Command
//
//     AwaitReply ──reply──► Command
//     AwaitReply ──354──► Data ──dot──► Command
//     AwaitReply ──334──► AuthLine ──LF──► AwaitReply
//     AwaitReply ──too much text after DATA──► Ahead ──dot──► AwaitReply, for the 354
//                                               Ahead ──354──► Data
//
//     any ──221, 421, 521──► Ended            any ──out of step──► Lost
enum class Phase : std::uint8_t {
  Command,     // the next bytes are a command line
  AwaitReply,  // what the next bytes are depends on a reply that has not come
  AuthLine,    // the next line answers a 334 challenge
  Data,        // message bytes up to the dot
  Ahead,       // message bytes before the 354, up to the dot
  Chunk,       // message bytes, by their number
  Ended,       // the server closes; nothing more is parsed
  Lost,
};

struct Outstanding {
  Asked asked = Asked::Plain;
  std::uint32_t transaction = 0;  // Chunk: the transaction to which it belongs
  std::uint32_t ordinal = 0;      // End, Chunk: the message whose last byte it brought; 0: none
};

// The first byte of a TLS record that carries a handshake. RFC 8446, 5.1.
constexpr char kTlsHandshake = 0x16;

// Is this a record header as both hellos have it? The STARTTLS before it may not have been seen.
bool begins_tls(Bytes bytes) {
  constexpr char kMajor = 3;
  constexpr char kMostMinor = 3;
  return bytes.size() > 2 && bytes[0] == kTlsHandshake && bytes[1] == kMajor && bytes[2] >= 0 &&
         bytes[2] <= kMostMinor;
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
    if (gap.searching() && (begins_tls(bytes) || is_binary({bytes.data(), bytes.size()}))) {
      return lose(Reason::Encrypted);
    }
    if (!greeted) habits.early_talker();
    if (phase != Phase::AwaitReply) bytes = bytes.subspan(parse(bytes));
    if (phase == Phase::AwaitReply) queue(bytes);
    if (unheard) assume_answers();
  }

  // --- where a capture lost something --------------------------------------------------------

  void unhear() {
    if (phase == Phase::Lost || phase == Phase::Ended) return;
    unheard = greeted = true;
    replies.forget();
    assume_answers();
  }

  // Assumes for each open command the answer that the client's next bytes show.
  void assume_answers() {
    while (!outstanding.empty() && phase != Phase::Lost && phase != Phase::Ended) {
      const Asked asked = outstanding.front().asked;
      if (asked == Asked::Chunk && phase == Phase::Chunk && outstanding.size() == 1) return;
      const int code = assumed_reply(
          asked, {.bytes = waiting(), .is_text = ahead, .end_doubted = other_end.has_value()});
      if (code == 0) return;
      // Not every server sees this end, and no command follows it. So it is no longer known which
      // way the server read it.
      if (asked == Asked::End && other_end && !is_command_behind_gap(waiting())) {
        return lose(Reason::Ambiguous);
      }
      reply(code);
    }
  }

  std::string_view waiting() const { return std::string_view(queued).substr(queued_used); }

  // Replies whose commands are no longer known. Only 354 is used, because it says what the client's
  // next bytes are, whatever else was lost.
  void overhear(Bytes bytes) {
    if (gap.searching() && begins_tls(bytes)) return lose(Reason::Encrypted);
    while (!bytes.empty() && phase != Phase::Lost && phase != Phase::Ended) {
      if (replies.read(bytes) != ReplyReader::Got::Reply || replies.code() != 354) continue;
      if (phase == Phase::AwaitReply && !outstanding.empty() &&
          outstanding.front().asked == Asked::Data) {
        reply(354);
      } else if (phase == Phase::Command && gap.commands_missed() && line_size == 0) {
        begin_message(Transfer::Data);
        gap.found();
        phase = Phase::Data;
      }
    }
    if (unheard) assume_answers();
  }

  // The next bytes were not seen. If DATA waits for its reply, they are text.
  bool assume_text() {
    if (phase != Phase::AwaitReply || !waiting().empty()) return false;
    if (outstanding.empty() || outstanding.back().asked != Asked::Data) return false;
    unhear();
    if (phase != Phase::AwaitReply || outstanding.size() != 1) return false;
    reply(354);
    return phase == Phase::Data;
  }

  // Requires: this is a gap among commands. The caller has already filled the gaps in text.
  void command_gap(std::uint64_t size) {
    offset += size;
    if (phase == Phase::Lost || phase == Phase::Ended) return;
    unhear();
    if (phase == Phase::Lost || phase == Phase::Ended) return;
    const bool text = gap.gap(size, chunking);
    begin_anew();
    if (text) listener.on_text_skipped();
  }

  // A transaction that had begun is over. If a gap had room for its text, reports that text was
  // skipped.
  void report_hidden_text() {
    if (gap.hid_text(open)) listener.on_text_skipped();
  }

  // Both streams are over.
  void end() {
    report_hidden_text();
    const bool between_chunks = phase == Phase::Command || phase == Phase::AwaitReply;
    if (chunking && !refused && between_chunks) listener.on_text_skipped();
    if (phase == Phase::Data && reader.message().size != 0) cut_text();
  }

  // The next bytes of text are filler, not the sender's. So what lies in its header is not known.
  void text_gap() {
    const bool text = phase == Phase::Data || phase == Phase::Ahead || phase == Phase::Chunk;
    if (text) reader.bytes_missed();
  }

  // Commands begin somewhere after the last byte that was given.
  void resume() {
    gap.begin();
    begin_anew();
  }

  void begin_anew() {
    unheard = greeted = true;
    replies.forget();
    partial.clear();
    line_size = 0;
    queued.clear();
    queued_used = 0;
    outstanding.clear();
    other_end.reset();
    forget_ahead();
    if (chunking) forget_transaction();
    phase = Phase::Command;
    at = line_begin = offset;
    habits.forget_transaction();
  }

  // Returns how many bytes were used: all of them, unless the phase has to wait.
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
        case Phase::AwaitReply:
        case Phase::Ended:
        case Phase::Lost:
          return used;
      }
    }
    return used;
  }

  void queue(Bytes bytes) {
    if (queued.size() - queued_used + bytes.size() > limits.queued) {
      if (can_read_ahead()) return read_ahead(bytes);
      return lose(other_end ? Reason::Ambiguous : Reason::Lost);
    }
    if (queued_used > queued.size() / 2) queued.erase(0, std::exchange(queued_used, 0));
    queued.append(bytes.data(), bytes.size());
    doubt(bytes);
  }

  // These bytes follow an end that not every server sees. If there is another end among them, the
  // tracker is lost.
  void doubt(Bytes bytes) {
    if (other_end && other_end->scan(bytes).found != EndOfData::Found::Nothing) {
      lose(Reason::Ambiguous);
    }
  }

  // The reply came: the phase of the queued bytes is `next`.
  void release(Phase next) {
    phase = next;
    released = offset;
    other_end.reset();
    queued_used += parse(Bytes(queued).subspan(queued_used));
    if (phase != Phase::AwaitReply || queued_used == queued.size()) {
      std::string().swap(queued);  // releases the memory too: the session may be silent from now on
      queued_used = 0;
    } else {
      doubt(Bytes(queued).subspan(queued_used));
    }
  }

  struct Line {
    std::size_t used = 0;
    bool whole = false;
  };

  // Finds the end of the line and counts its bytes.
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
    if (phase != Phase::Lost) phase = Phase::AwaitReply;
    return line.used;
  }

  void command(std::string_view line) {
    const GapSearch::Line found = gap.line(line);
    if (found == GapSearch::Line::SkippedText) listener.on_text_skipped();
    if (found != GapSearch::Line::Command) return;
    const Command command(line);
    if (std::exchange(first_command, false) && is_http(command.word)) {
      return lose(Reason::NotMail);
    }
    const Asked asked = command.asked();
    if (asked == Asked::Quit || command.is("MAIL")) report_hidden_text();
    habits.command(command, pipelined, chunking);
    if (command.is("MAIL")) open = true;
    if (command.is("RSET")) open = false;
    listener.on_command({line_begin, at});
    const bool unsure = gap.take_first_found();
    if (asked == Asked::Chunk) return begin_chunk(command.rest, unsure);
    ask({.asked = asked});
    if (phase != Phase::Lost && waits_for_reply(asked)) phase = Phase::AwaitReply;
  }

  // A command between two chunks may end the transaction. Its reply decides to which message the
  // next chunk belongs.
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

  void ask(Outstanding what) {
    // If answers are assumed, the oldest command counts as answered.
    if (unheard && outstanding.size() >= limits.outstanding) outstanding.pop_front();
    if (outstanding.size() >= limits.outstanding) return lose(Reason::Lost);
    outstanding.push_back(what);
  }

  // --- messages ------------------------------------------------------------------------------

  void begin_message(Transfer transfer) {
    gap.message_begins();
    reader.begin(transfer, at);
  }

  Message end_message(std::uint8_t terminator) {
    Message message = reader.finish(terminator, habits.dialogue());
    message.claims.helo = habits.helo();
    message.envelope = habits.take_envelope();
    message.ordinal = ++ordinals;
    line_begin = at;
    open = false;
    return message;
  }

  EndOfData::Step take_text(Bytes bytes) {
    const EndOfData::Step step = reader.take_text(bytes);
    at += step.used;
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
      phase = Phase::AwaitReply;
      other_end.emplace();
    }
  }

  // --- text before the 354, more than is queued ---------------------------------------------

  // No byte was parsed after DATA, so DATA is the last command of the queue.
  bool can_read_ahead() const {
    return !ahead && !chunking && !outstanding.empty() && outstanding.back().asked == Asked::Data;
  }

  // The answer to DATA is almost always 354. So the text is read as a message and not kept. The
  // message is reported when the 354 has come. The bytes after its dot are queued.
  void read_ahead(Bytes bytes) {
    const std::string text = std::exchange(queued, {});
    const std::size_t begin = std::exchange(queued_used, 0);
    begin_message(Transfer::Data);
    reader.message().dialogue.early_data = true;
    ahead = true;
    phase = Phase::Ahead;
    for (const Bytes part : {Bytes(text).subspan(begin), bytes}) {
      const Bytes rest = phase == Phase::Ahead ? part.subspan(parse(part)) : part;
      if (phase == Phase::AwaitReply) queue(rest);
    }
  }

  std::size_t in_ahead(Bytes bytes) {
    const EndOfData::Step step = take_text(bytes);
    if (step.found != EndOfData::Found::Nothing) {
      ahead_end = step;
      phase = Phase::AwaitReply;
    }
    return step.used;
  }

  // The server reads refused text as commands. They were not kept, so the tracker is lost.
  void answer_ahead(int code) {
    const std::optional<EndOfData::Step> end = ahead_end;
    forget_ahead();
    if (code != 354) return lose(Reason::Lost);
    released = offset;
    phase = end ? Phase::Command : Phase::Data;
    if (end) end_text(*end);
    if (phase == Phase::Command) return release(phase);
    if (phase == Phase::AwaitReply) doubt(Bytes(queued).subspan(queued_used));
  }

  void forget_ahead() {
    ahead = false;
    ahead_end.reset();
  }

  void end_data(std::uint8_t dot_line) {
    reader.end_span({reader.begin(), at});
    Message message = end_message(dot_line);
    phase = Phase::Command;
    ask({.asked = Asked::End, .ordinal = message.ordinal});
    if (phase != Phase::Lost) listener.on_message(std::move(message));
  }

  // The stream is over, and the end of the text was not seen.
  void cut_text() {
    reader.end_span({reader.begin(), at});
    reader.message().cut = true;
    phase = Phase::Ended;
    listener.on_message(end_message(0));
  }

  // `unsure`: the command before it was not seen and may have been another chunk of this message.
  void begin_chunk(std::string_view arguments, bool unsure) {
    const std::optional<ChunkCommand> chunk = parse_chunk(arguments);
    if (!chunk) {
      open = false;  // it was refused before any byte of a message
      return lose(Reason::Lost);
    }
    if (!chunking) {
      chunking = true;
      refused = false;
      chunk_count = 0;
      begin_message(Transfer::Bdat);
      reader.message().may_lack_chunks = unsure;
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
    if (!refused) reader.take(bytes.first(size));
    at += size;
    chunk_left -= size;
    if (chunk_left == 0) end_chunk();
    return size;
  }

  void end_chunk() {
    phase = Phase::Command;
    line_begin = at;
    if (!refused && at > chunk_begin) reader.end_span({chunk_begin, at});
    if (!chunk_last) return;
    const bool taken = !refused;
    forget_transaction();
    if (!taken) return;
    reader.message().dialogue.chunks = static_cast<std::uint8_t>(
        std::min<std::size_t>(chunk_count, std::numeric_limits<std::uint8_t>::max()));
    Message message = end_message(0);
    outstanding.back().ordinal = message.ordinal;
    listener.on_message(std::move(message));
  }

  // The chunks so far are not a message. As Postfix does, later chunks are skipped until the last
  // one or a reset.
  void refuse_chunks() {
    refused = true;
    reader.forget();
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

  // Do the queued bytes wait for this reply? They do if no later command is open.
  bool releases() const { return phase == Phase::AwaitReply && outstanding.empty(); }

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
        if (code == 220) habits.forget_greeting();
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
    if (chunking) forget_transaction();  // Postfix refuses DATA after BDAT; other servers may not
    begin_message(Transfer::Data);
    reader.message().dialogue.early_data = !unheard && queued.size() > queued_used;
    release(Phase::Data);
  }

  void answer_chunk(const Outstanding& what, int code) {
    const bool running = phase == Phase::Chunk && outstanding.empty();
    if (code / 100 == 3 || (running && succeeded(code))) return lose(Reason::Lost);
    if (succeeded(code)) return;
    if (not_taken(code)) return lose(Reason::Lost);
    if (chunking && what.transaction == transaction) refuse_chunks();
  }

  // Does this reply refuse the command, not the chunk (not implemented, access denied, STARTTLS is
  // needed first)? Then the server reads the bytes of the chunk as commands.
  bool not_taken(int code) const {
    const int detail = code % 100;
    return detail <= 2 || detail == 30 || (detail == 3 && replies.security_status());
  }

  void lose(Reason reason) {
    phase = Phase::Lost;
    other_end.reset();
    forget_ahead();
    outstanding.clear();
    queued.clear();
    queued.shrink_to_fit();
    queued_used = 0;
    partial.clear();
    reader.forget();
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
        return reader.begin();
      case Phase::Command:
      case Phase::AwaitReply:
      case Phase::AuthLine:
      case Phase::Chunk:
        break;
    }
    return chunking && !refused ? std::min(reader.begin(), line_begin) : line_begin;
  }

  Listener& listener;
  const Limits limits;
  Phase phase = Phase::Command;

  std::uint64_t offset = 0;      // client bytes given
  std::uint64_t at = 0;          // client bytes parsed
  std::uint64_t line_begin = 0;  // where the current command line began
  std::uint64_t released = 0;    // bytes before this offset came before the last reply
  std::size_t line_size = 0;     // bytes of the current line so far
  std::string partial;           // those bytes, if the line was cut
  bool pipelined = false;        // the current line began before the reply to the line before it
  std::string queued;            // client bytes that wait for a reply
  std::size_t queued_used = 0;   // the part of them that was parsed
  bool first_command = true;

  ReplyReader replies;
  std::deque<Outstanding> outstanding;
  bool greeted = false;
  bool greeting_assumed = false;  // neither the greeting nor a reply was seen yet

  bool unheard = false;  // replies were lost: answers are assumed
  GapSearch gap;

  Habits habits;
  std::uint32_t ordinals = 0;
  MessageReader reader;                // of the current message
  std::optional<EndOfData> other_end;  // the last reported end may be wrong: another end may follow
  bool ahead = false;                  // the current message came before its 354
  std::optional<EndOfData::Step> ahead_end;  // its end, if it has ended

  bool open = false;              // since the last MAIL there was neither a message nor RSET
  bool chunking = false;          // after a chunk that was not the last one
  bool refused = false;           // a chunk of this transaction was refused
  std::uint32_t transaction = 0;  // separates a late refusal from the chunks of the next message
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
    case Phase::AwaitReply:
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
  return impl_->reader.tail();
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
  // After the end of the session no byte is a command.
  const bool over = impl_->phase == Phase::Ended || impl_->phase == Phase::Lost;
  if (impl_->phase == Phase::Ahead) return 0;  // before the 354 these bytes may be commands
  return over ? std::numeric_limits<std::uint64_t>::max() : text_left();
}

const std::string& SmtpTracker::helo() const {
  return impl_->habits.helo();
}

std::size_t SmtpTracker::memory_used() const {
  return impl_->queued.capacity() + impl_->partial.capacity();
}

bool SmtpTracker::behind() const {
  return impl_->queued.size() != impl_->queued_used || impl_->ahead;
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
  return impl_->habits.dialogue();
}

std::uint64_t SmtpTracker::client_offset() const {
  return impl_->offset;
}

std::uint64_t SmtpTracker::needed_from() const {
  return impl_->needed_from();
}

}  // namespace classifier
