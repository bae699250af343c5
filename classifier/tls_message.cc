#include "classifier/tls_message.h"

#include <algorithm>
#include <utility>

namespace classifier {
namespace {

constexpr std::uint32_t kCrLf = 2;
// At most this many bytes after a message may be bytes that Postfix removes from it.
constexpr std::uint64_t kMostBehind = 64;
// `MAIL FROM:<>` and `RCPT TO:<a@b>` with their CRLF.
constexpr std::uint64_t kLeastEnvelope = 29;

bool begins_record(const Turn& turn, std::uint64_t offset) {
  std::uint64_t at = 0;
  for (const DataRecord& record : turn.records) {
    if (at == offset) return true;
    at += record.plain;
  }
  return false;
}

// Length of `BDAT n` or `BDAT n LAST` with CRLF.
std::uint64_t chunk_command(std::uint64_t size, bool last) {
  constexpr std::uint64_t kBare = 7;  // "BDAT ", CRLF
  constexpr std::uint64_t kLast = 5;
  std::uint64_t digits = 1;
  for (std::uint64_t n = size; n >= 10; n /= 10) ++digits;
  return kBare + digits + (last ? kLast : 0);
}

// Returns the size of the chunk that fills `bytes` together with its own command.
std::optional<std::uint64_t> chunk_of(std::uint64_t bytes, bool last) {
  for (std::uint64_t digits = 1; digits <= 18; ++digits) {
    const std::uint64_t command = chunk_command(0, last) + digits - 1;
    if (bytes <= command) return std::nullopt;
    const std::uint64_t size = bytes - command;
    if (chunk_command(size, last) == command) return size;
  }
  return std::nullopt;
}

// The sizes that the milter was shown, and the turns in which they are searched.
struct Search {
  const Turns& turns;
  const ShownSizes& shown;

  const Turn& last() const { return *turns.kept.back(); }
  std::uint64_t envelope() const { return shown.envelope.total; }
  // Bytes before turn number `index`, and before the last one.
  std::uint64_t in_front(std::size_t index) const {
    std::uint64_t bytes = turns.forgotten;
    for (std::size_t i = 0; i < index; ++i) bytes += turns.kept[i]->bytes;
    return bytes;
  }
  std::uint64_t said() const { return in_front(turns.kept.size() - 1); }
  // Is the turn before the last one DATA? It is if it is one command of four letters.
  bool data_alone() const {
    const std::size_t count = turns.kept.size();
    return count > 1 && is_four_letters(*turns.kept[count - 2], 0);
  }
  // Bytes that may have been said with the greeting; 0: they are too few for a command.
  std::uint64_t greeting() const {
    const std::uint64_t beside = turns.greeting - std::min(turns.greeting, shown.greeting);
    return beside < kFourLetters ? 0 : beside;
  }
  // Bytes that were said before turn number `index` and are not needed for the envelope.
  // `front`: the bytes of the envelope in that turn.
  std::uint64_t beyond(std::size_t index, std::uint64_t front) const {
    const std::uint64_t said = in_front(index) + greeting();
    return said - std::min(said, envelope() - std::min(envelope(), front));
  }
  // Can MAIL and each RCPT have been said before turn number `index`? A few bytes may be missing,
  // because lines ended in LF alone, but fewer than the last RCPT has.
  bool all_said(std::size_t index) const {
    const auto& rcpt = shown.envelope.rcpt;
    const std::uint64_t said = in_front(index) + turns.greeting;
    return rcpt.empty() || said >= envelope() || envelope() - said < rcpt.back();
  }
  // Can the message in question lie before turn number `index`? It can if so many bytes were said
  // there in addition to the commands.
  bool may_be_in_front(std::size_t index) const {
    const std::uint64_t commands = envelope() + kFourLetters;
    const std::uint64_t size = shown.body ? size_by_bdat(shown) : shown.header;
    return envelope() != 0 && in_front(index) + greeting() >= commands + size;
  }
};

// A chunk after its BDAT command, in one way to read the turns. The last one comes first.
struct Chunk {
  const Turn* turn;
  std::uint64_t begin;  // offset in the turn's plaintext
  std::uint64_t size;
  bool goes_on = false;  // it began in the turn before
};

// Can the last turn also be a chunk with its command, after `front` bytes of the envelope, and with
// QUIT or nothing after it? `BDAT 900 LAST` is as long as `DATA`, the dot line and QUIT together.
bool may_be_chunk(const Search& search, std::uint64_t front) {
  const std::uint64_t size = size_by_bdat(search.shown);
  const std::uint64_t bytes = front + chunk_command(size, true) + size;
  return search.last().bytes == bytes || search.last().bytes == bytes + kFourLetters;
}

// Finds the begin and end of text that came with DATA, or may have come with it. RFC 5321 demands
// that the client waits for 354. Then all commands came in earlier turns, and the text begins with
// the turn. If more than the commands was said earlier, that may be text. Then the bytes at the end
// of the turn are the next commands. This is impossible if DATA had a turn of its own.
//
//     MAIL,RCPT,DATA │ 399 29 2817              the usual case
//     MAIL,RCPT │ DATA,399 29 2817              the client did not wait: `front` is 6
//     MAIL,RCPT,DATA,399 │ 29 2817,MAIL,RCPT    … and this message cannot be placed
std::optional<TlsMessage> place_data(const Search& search) {
  const Turn& turn = search.last();
  const std::uint64_t commands = search.envelope() == 0 ? 0 : search.envelope() + kFourLetters;
  const std::uint64_t said = search.said();
  std::uint64_t front = commands - std::min(commands, said);
  if (front < kFourLetters) front = 0;  // the command lines ended in LF alone
  // The commands may also have been said with the greeting, and text with them or after them.
  const bool more = commands != 0 && said + search.greeting() > commands;
  if (more && !search.data_alone()) return std::nullopt;
  if (front != 0 && search.greeting() != 0) return std::nullopt;
  if (front != 0 && may_be_chunk(search, front - kFourLetters)) return std::nullopt;
  if (turn.bytes <= front) return std::nullopt;
  const std::uint64_t size = turn.bytes - front;
  const std::uint64_t shown = size_by_data(search.shown);
  const auto place = [&](std::uint64_t bytes) {
    TlsMessage message;
    append(turn, front, bytes, message);
    message.window = Window::Exact;
    message.quit_with_dot = bytes != size;
    message.data_ahead = message.early = front != 0;
    return message;
  };
  // Six bytes after early text may be QUIT. Or the text was a chunk, whose command is longer than
  // DATA.
  const bool quit = size > kFourLetters && turn.records.back().plain == kFourLetters;
  if (size == shown) return place(shown);
  if (size == shown + kFourLetters && (front == 0 || quit)) return place(shown);
  for (const std::uint64_t bytes : {quit ? size - kFourLetters : size, size}) {
    if (explain(search.shown, bytes, Transfer::Data)) return place(bytes);
  }
  return std::nullopt;
}

// Finds text whose first part came with DATA, and the rest after the 354. All that was said since
// the previous message is the envelope, DATA, the text, and perhaps QUIT.
//
//     DATA,399 │ 29 2817          DATA,399 │ 29 2817 6
std::optional<TlsMessage> place_spread_data(const Search& search) {
  if (search.envelope() == 0 || search.turns.forgotten != 0) return std::nullopt;
  if (search.greeting() != 0) return std::nullopt;  // the commands may have been said with it
  const std::uint64_t commands = search.envelope() + kFourLetters;
  if (search.said() <= commands) return std::nullopt;  // all of it is in the last turn
  const std::uint64_t size = size_by_data(search.shown);
  const std::uint64_t all = search.said() + search.last().bytes;
  if (all != commands + size && all != commands + size + kFourLetters) return std::nullopt;
  // The bytes that are not text may also be BDAT commands: `BDAT 943 LAST` is as long as DATA, dot
  // and QUIT.
  const std::uint64_t text = size_by_bdat(search.shown);
  if (all - search.envelope() - text >= chunk_command(text, true)) return std::nullopt;
  TlsMessage message;
  message.window = Window::Exact;
  message.data_ahead = message.early = true;
  message.quit_with_dot = all != commands + size;
  std::uint64_t skip = commands;
  std::uint64_t left = size;
  for (const Turn* turn : search.turns.kept) {
    if (!turn->whole()) return std::nullopt;
    const std::uint64_t front = std::min(skip, turn->bytes);
    const std::uint64_t some = std::min(left, turn->bytes - front);
    if (some != 0) append(*turn, front, some, message);
    skip -= front;
    left -= some;
  }
  return message;
}

// One way to read the turns as chunks. Without chunks the turns cannot be read so.
struct Reading {
  std::vector<Chunk> chunks;  // the last one first
  std::uint64_t miss = 0;     // the text may begin and end earlier by up to this many bytes
  int signs = 0;              // how much speaks for it; without signs, QUIT is only a guess
};

// Returns by how many bytes the text may begin earlier than in a reading with `front` bytes of the
// envelope in turn number `index`. The bytes before that turn may be the envelope from MAIL on.
// Then the turn ends with as many bytes of the next message's envelope. Returns nothing if they
// are so many that it is not known where the text lies.
//
//     AUTH │ MAIL,RCPT,BDAT n LAST,n          or          MAIL,RCPT │ BDAT n LAST,n,MAIL,RCPT
std::optional<std::uint64_t> may_begin_earlier(const Search& search, std::size_t index,
                                               std::uint64_t front) {
  const std::uint64_t beyond = search.beyond(index, front);
  const auto& mail = search.shown.envelope.mail;
  if (front == 0 || beyond == 0 || (!mail.empty() && beyond < mail.front())) return 0;
  const std::uint64_t most = most_miss(size_by_bdat(search.shown));
  return beyond < front && beyond <= most ? std::optional(beyond) : std::nullopt;
}

// Finds the chunks from the end backwards. `behind`: bytes of QUIT after the last chunk. Before the
// command of the first chunk comes the envelope, or the part of it that was not in earlier turns.
Reading find_chunks(const Search& search, std::uint32_t behind) {
  std::vector<Chunk> chunks;
  std::uint64_t left = size_by_bdat(search.shown);
  for (std::size_t i = search.turns.kept.size(); i-- > 0 && left > 0;) {
    const Turn& turn = *search.turns.kept[i];
    const bool last = chunks.empty();
    if (!turn.whole()) return {};
    const std::uint64_t bytes = turn.bytes - std::min<std::uint64_t>(turn.bytes, last ? behind : 0);
    const std::uint64_t command = chunk_command(left, last);
    if (bytes >= left + command) {
      const std::uint64_t front = bytes - left - command;
      const std::uint64_t envelope = search.envelope();
      const bool fits = front == 0 ? search.all_said(i)
                                   : front == envelope || front + search.in_front(i) == envelope;
      // The earlier turns may hold all commands of this chunk. Then the turn begins with its text.
      const bool said_before = envelope != 0 && search.beyond(i, 0) >= command;
      const auto miss = may_begin_earlier(search, i, front);
      if (!fits || said_before || !miss) return {};
      chunks.push_back({&turn, bytes - left, left});
      return {std::move(chunks), *miss};
    }
    const auto chunk = chunk_of(bytes, last);
    if (!chunk || *chunk > left) return {};
    chunks.push_back({&turn, bytes - *chunk, *chunk});
    left -= *chunk;
  }
  return {};
}

// Finds a message in one chunk whose commands the server answered before the whole chunk had come.
// So the chunk continues over several turns. It is known only by the envelope before it, whose size
// must fit to the byte.
//
//     client   MAIL,RCPT,BDAT n LAST,16384 │ 16384 2210          MAIL,RCPT,BDAT n LAST │ 2210
//     server                              28           │                              28    │
Reading find_spread_chunk(const Search& search, std::uint32_t behind) {
  std::vector<Chunk> parts;
  const std::uint64_t size = size_by_bdat(search.shown);
  const std::uint64_t commands = search.envelope() + chunk_command(size, true);
  std::uint64_t left = size + behind;
  for (std::size_t i = search.turns.kept.size(); i-- > 0 && search.envelope() != 0;) {
    const Turn& turn = *search.turns.kept[i];
    if (!turn.whole()) return {};
    const std::uint64_t not_text = parts.empty() ? behind : 0;
    if (turn.bytes <= not_text) return {};
    if (turn.bytes <= left) {
      parts.push_back({&turn, 0, turn.bytes - not_text, true});
      left -= turn.bytes;
      continue;
    }
    if (turn.bytes - left != commands) return {};
    const auto miss = may_begin_earlier(search, i, search.envelope());
    if (!miss) return {};
    if (left > not_text) parts.push_back({&turn, commands, left - not_text});
    return {std::move(parts), *miss};
  }
  return {};
}

Reading read_chunks(const Search& search, std::uint32_t behind) {
  constexpr int kEnvelopeFits = 3;  // more than all other signs of a single chunk
  const ShownSizes& shown = search.shown;
  Reading reading = find_spread_chunk(search, behind);
  if (reading.chunks.empty()) reading = find_chunks(search, behind);
  if (reading.chunks.empty()) return reading;
  const std::vector<Chunk>& chunks = reading.chunks;
  const Chunk& first = chunks.back();
  const bool one = chunks.size() == 1 || chunks.front().goes_on;
  const std::uint64_t command = chunk_command(one ? size_by_bdat(shown) : first.size, one);
  int& found = reading.signs;
  if (begins_record(*first.turn, first.begin)) ++found;  // the text has a write of its own
  if (!one && first.size == shown.header) ++found;       // Exim sends the header in its own chunk
  if (one && first.begin == command) ++found;
  const bool behind_envelope = search.envelope() != 0 && first.begin == search.envelope() + command;
  if (first.goes_on || behind_envelope) found += kEnvelopeFits;
  if (behind != 0 && chunks.front().turn->records.back().plain == kFourLetters) ++found;
  return reading;
}

std::optional<TlsMessage> place_chunks(const Search& search) {
  const Reading alone = read_chunks(search, 0);
  const Reading with_quit = read_chunks(search, kFourLetters);
  const bool one = alone.chunks.empty() != with_quit.chunks.empty();
  const bool quit = one ? alone.chunks.empty() : with_quit.signs > alone.signs;
  const Reading& reading = quit ? with_quit : alone;
  const std::vector<Chunk>& chunks = reading.chunks;
  const bool sure = one || alone.signs != with_quit.signs;
  if (chunks.empty() || (!sure && chunks.size() > 1)) return std::nullopt;
  const Chunk& first = chunks.back();
  TlsMessage message;
  message.transfer = Transfer::Bdat;
  message.miss = sure ? reading.miss : std::max<std::uint64_t>(reading.miss, kFourLetters);
  message.window = message.miss == 0 ? Window::Exact : Window::Near;
  message.quit_with_dot = quit;
  message.data_ahead = message.rcpt_ahead = first.goes_on || first.begin >= kLeastEnvelope;
  std::uint64_t at = 0;
  for (std::size_t i = chunks.size(); i-- > 0;) {
    if (at != 0 && !chunks[i].goes_on) message.chunk_begins.push_back(to_u32(at));
    append(*chunks[i].turn, chunks[i].begin, chunks[i].size, message);
    at += chunks[i].size;
  }
  return message;
}

// Finds a single chunk after its envelope, if Postfix shows more of it than the client sent.
std::optional<TlsMessage> place_shown_with_more(const Search& search) {
  const Turn& turn = search.last();
  const std::uint64_t said = search.said();
  const std::uint64_t envelope = search.envelope();
  if (envelope == 0 || said > envelope) return std::nullopt;
  // The length of the chunk is not known. So it must be known to the byte how much of the envelope
  // was said before.
  if (search.greeting() != 0) return std::nullopt;
  const bool quit = turn.bytes > kFourLetters && turn.records.back().plain == kFourLetters;
  const std::uint64_t front = envelope - said;
  const std::uint64_t taken = front + (quit ? kFourLetters : 0);
  if (turn.bytes <= taken) return std::nullopt;
  const auto size = chunk_of(turn.bytes - taken, true);
  if (!size || !explain(search.shown, *size, Transfer::Bdat)) return std::nullopt;
  TlsMessage message;
  message.transfer = Transfer::Bdat;
  message.window = Window::Exact;
  message.quit_with_dot = quit;
  message.data_ahead = message.rcpt_ahead = front >= kLeastEnvelope;
  append(turn, front + chunk_command(*size, true), *size, message);
  return message;
}

// If DATA was not said in an earlier turn, the turn begins with DATA or with BDAT. BDAT is more
// usual.
std::optional<TlsMessage> place_data_or_chunks(const Search& search, bool may_be_data,
                                               bool data_said) {
  std::optional<TlsMessage> found;
  if (may_be_data && data_said) found = place_data(search);
  if (!found) found = place_chunks(search);
  if (!found && may_be_data && !data_said) found = place_data(search);
  if (!found && may_be_data) found = place_spread_data(search);
  return found;
}

// The whole last turn is the message, and its size is about right.
std::variant<TlsMessage, Reason> place_near(const Search& search, std::uint32_t slack) {
  const Turn& last = search.last();
  const ShownSizes& shown = search.shown;
  const std::uint64_t size = shown.body ? size_by_data(shown) : 0;
  if (search.envelope() != 0 && slack == 0) {
    const std::uint64_t commands = search.envelope() + kFourLetters;
    const std::uint64_t said = search.said();
    // If DATA was not said before this turn, the turn has commands in it. If more than the commands
    // was said before, that may be the message in question.
    if (said + kFourLetters <= commands) return Reason::Ambiguous;
    if (said + search.greeting() > commands && !search.data_alone()) return Reason::Ambiguous;
    if (search.may_be_in_front(search.turns.kept.size() - 1)) return Reason::Ambiguous;
  }
  if (shown.body) {
    if (last.bytes > size + kMostBehind + last.count * slack) return Reason::Ambiguous;
    if (last.bytes + most_miss(size) < size) return Reason::Lost;
  }
  TlsMessage message;
  append(last, 0, last.bytes, message);
  message.window = Window::Near;
  if (shown.body) message.miss = distance(last.bytes, size);
  return message;
}

}  // namespace

std::variant<TlsMessage, Reason> place_message(const Turns& turns, const ShownSizes& shown,
                                               std::uint32_t slack) {
  if (turns.kept.empty() || turns.kept.back()->empty()) return Reason::Lost;
  const Search search{turns, shown};
  if (shown.body && search.last().whole() && slack == 0) {
    const std::uint64_t commands = search.envelope() == 0 ? 0 : search.envelope() + kFourLetters;
    const bool hidden = search.may_be_in_front(turns.kept.size() - 1);
    const bool data_said = search.said() >= commands;
    auto found = place_data_or_chunks(search, !turns.answered && !hidden, data_said);
    if (!found && !hidden) found = place_shown_with_more(search);
    if (found) return std::move(*found);
  }
  if (turns.answered) return Reason::Lost;
  return place_near(search, slack);
}

void append(const Turn& turn, std::uint64_t begin, std::uint64_t size, TlsMessage& message) {
  std::uint64_t at = 0;
  Span span;
  for (const DataRecord& record : turn.records) {
    const std::uint64_t from = std::max(at, begin);
    const std::uint64_t to = std::min(at + record.plain, begin + size);
    if (from < to) {
      message.records.push_back({.size = static_cast<std::uint32_t>(to - from),
                                 .before = static_cast<std::uint32_t>(from - at),
                                 .after = static_cast<std::uint32_t>(at + record.plain - to)});
      if (span.end == 0) span.begin = record.begin;
      span.end = record.end;
    }
    at += record.plain;
  }
  if (span.end != 0) message.spans.push_back(span);
}

bool is_four_letters(const Turn& turn, std::uint32_t slack) {
  return turn.count == 1 && turn.bytes >= kFourLetters && turn.bytes <= kFourLetters + slack;
}

bool splits_command(const Turn& turn) {
  return turn.count > 1 && turn.bytes < kLeastMessage && turn.records.back().plain == kCrLf;
}

}  // namespace classifier
