#include "classifier/sealed_message.h"

#include <algorithm>
#include <utility>

namespace classifier {
namespace {

// `DATA`, `QUIT`, `RSET` or `NOOP` with CRLF.
constexpr std::uint32_t kFourLetters = 6;
// `.` and CRLF.
constexpr std::uint64_t kDotLine = 3;
// Behind DATA on a line of its own a message may be as short as this; else it was RSET, and the
// next turn is MAIL.
constexpr std::uint64_t kLeastBehindData = 100;
// A turn of this size behind an envelope is a message: commands, even some recipients, have less.
constexpr std::uint64_t kLeastMessage = 300;
constexpr std::uint32_t kCrLf = 2;
// Bytes that a message may have beyond what is shown of it, and the shortest lines of one that ends
// them with LF alone, as a mean.
constexpr std::uint64_t kMostUnshown = 64;
constexpr std::uint64_t kLeastLine = 10;
// `MAIL FROM:<>` and `RCPT TO:<a@b>` with their CRLF.
constexpr std::uint64_t kLeastEnvelope = 29;

// Bytes [begin, begin + size) of a turn's plaintext, as records.
void append(const Turn& turn, std::uint64_t begin, std::uint64_t size, SealedMessage& message) {
  std::uint64_t at = 0;
  Span span;
  for (const SealedRecord& record : turn.records) {
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

bool begins_record(const Turn& turn, std::uint64_t offset) {
  std::uint64_t at = 0;
  for (const SealedRecord& record : turn.records) {
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

// The chunk that fills `bytes` together with its own command.
std::optional<std::uint64_t> chunk_of(std::uint64_t bytes, bool last) {
  for (std::uint64_t digits = 1; digits <= 18; ++digits) {
    const std::uint64_t command = chunk_command(0, last) + digits - 1;
    if (bytes <= command) return std::nullopt;
    const std::uint64_t size = bytes - command;
    if (chunk_command(size, last) == command) return size;
  }
  return std::nullopt;
}

// The message and, perhaps, QUIT or a whole next command behind it. RFC 2920 lets a client go on
// without waiting.
std::optional<SealedMessage> place_data(const Turn& turn, std::uint64_t size) {
  if (turn.bytes < size) return std::nullopt;
  const std::uint64_t behind = turn.bytes - size;
  if (behind != 0 && behind != kFourLetters && !begins_record(turn, size)) return std::nullopt;
  SealedMessage message;
  append(turn, 0, size, message);
  message.window = Window::Exact;
  message.quit_with_dot = behind != 0;
  return message;
}

// Of a message by BDAT, the last one first: a chunk behind its command, or the part of it that is
// in one turn.
struct Chunk {
  const Turn* turn;
  std::uint64_t begin;  // in the turn's plaintext
  std::uint64_t size;
  bool goes_on = false;  // began in the turn before
};

// From the end backwards; `behind` bytes of QUIT follow the last chunk. The first turn may have the
// envelope in front of the first chunk's command.
std::vector<Chunk> find_chunks(const std::deque<const Turn*>& turns, std::uint64_t size,
                               std::uint32_t behind) {
  std::vector<Chunk> chunks;
  std::uint64_t left = size;
  for (std::size_t i = turns.size(); i-- > 0 && left > 0;) {
    const Turn& turn = *turns[i];
    const bool last = chunks.empty();
    if (!turn.whole()) return {};
    const std::uint64_t bytes = turn.bytes - std::min<std::uint64_t>(turn.bytes, last ? behind : 0);
    // All that is left behind a chunk's command, alone or with an envelope in front of it; or a
    // chunk of its own. A few bytes too many are no envelope: then it was DATA, and the sizes miss.
    const std::uint64_t command = chunk_command(left, last);
    const std::uint64_t front = bytes - std::min(bytes, left);
    if (front == command || front >= command + kLeastEnvelope) {
      chunks.push_back({&turn, bytes - left, left});
      return chunks;
    }
    const auto chunk = chunk_of(bytes, last);
    if (!chunk || *chunk > left) return {};
    chunks.push_back({&turn, bytes - *chunk, *chunk});
    left -= *chunk;
  }
  return {};
}

// The message in one chunk, whose commands the server answered before all of it had come: the chunk
// goes on over several turns. Told by the envelope alone, which stands in front of it to the byte.
//
//     client   MAIL,RCPT,BDAT n LAST,16384 │ 16384 2210
//     server                              28           │
std::vector<Chunk> find_spread_chunk(const std::deque<const Turn*>& turns, const ShownSizes& sizes,
                                     std::uint32_t behind) {
  std::vector<Chunk> parts;
  const std::uint64_t size = size_by_bdat(sizes);
  const std::uint64_t commands = sizes.envelope + chunk_command(size, true);
  std::uint64_t left = size + behind;
  for (std::size_t i = turns.size(); i-- > 0 && sizes.envelope != 0;) {
    const Turn& turn = *turns[i];
    if (!turn.whole()) return {};
    const std::uint64_t not_text = parts.empty() ? behind : 0;
    if (turn.bytes <= not_text) return {};
    if (turn.bytes < left) {
      parts.push_back({&turn, 0, turn.bytes - not_text, true});
      left -= turn.bytes;
      continue;
    }
    if (turn.bytes - left != commands) return {};
    parts.push_back({&turn, commands, left - not_text});
    return parts;
  }
  return {};
}

// One way to read the turns, and how much speaks for it: whether QUIT is there is a guess without.
struct Reading {
  std::vector<Chunk> chunks;
  int signs = 0;
};

Reading read_chunks(const std::deque<const Turn*>& turns, const ShownSizes& sizes,
                    std::uint32_t behind) {
  constexpr int kEnvelopeFits = 3;  // more than all other signs of a single chunk
  Reading reading{find_spread_chunk(turns, sizes, behind)};
  if (reading.chunks.empty()) {
    reading.chunks = find_chunks(turns, size_by_bdat(sizes), behind);
  }
  if (reading.chunks.empty()) return reading;
  const std::vector<Chunk>& chunks = reading.chunks;
  const Chunk& first = chunks.back();
  const bool one = chunks.size() == 1 || chunks.front().goes_on;
  const std::uint64_t command = chunk_command(one ? size_by_bdat(sizes) : first.size, one);
  int& found = reading.signs;
  if (begins_record(*first.turn, first.begin)) ++found;  // the text was written apart
  if (!one && first.size == sizes.header) ++found;       // Exim: the header in its own chunk
  if (one && first.begin == command) ++found;
  if (sizes.envelope != 0 && first.begin == sizes.envelope + command) found += kEnvelopeFits;
  if (behind != 0 && chunks.front().turn->records.back().plain == kFourLetters) ++found;
  return reading;
}

std::optional<SealedMessage> place_chunks(const std::deque<const Turn*>& turns,
                                          const ShownSizes& sizes) {
  const Reading alone = read_chunks(turns, sizes, 0);
  const Reading with_quit = read_chunks(turns, sizes, kFourLetters);
  const bool quit = with_quit.signs > alone.signs;
  const auto& chunks = (quit ? with_quit : alone).chunks;
  const bool sure = alone.signs != with_quit.signs;
  if (chunks.empty() || (!sure && chunks.size() > 1)) return std::nullopt;
  SealedMessage message;
  message.transfer = Transfer::Bdat;
  message.window = sure ? Window::Exact : Window::Near;
  message.miss = sure ? 0 : kFourLetters;
  message.quit_with_dot = quit;
  const Chunk& first = chunks.back();
  message.data_ahead = message.rcpt_ahead = first.begin >= kLeastEnvelope;
  std::uint64_t at = 0;
  for (std::size_t i = chunks.size(); i-- > 0;) {
    if (at != 0 && !chunks[i].goes_on) message.chunk_begins.push_back(to_u32(at));
    append(*chunks[i].turn, chunks[i].begin, chunks[i].size, message);
    at += chunks[i].size;
  }
  return message;
}

std::uint64_t distance(std::uint64_t a, std::uint64_t b) {
  return a < b ? b - a : a - b;
}

}  // namespace

std::uint64_t size_by_data(const ShownSizes& sizes) {
  return size_by_bdat(sizes) + sizes.dots + kDotLine;
}

std::uint64_t size_by_bdat(const ShownSizes& sizes) {
  return sizes.header + *sizes.body;
}

std::uint64_t most_miss(std::uint64_t size) {
  return std::max(kMostUnshown, size / kLeastLine);
}

std::optional<SealedMessage> place_message(const std::deque<const Turn*>& turns,
                                           const ShownSizes& sizes, std::uint32_t slack,
                                           bool answered) {
  if (turns.empty() || turns.back()->empty()) return std::nullopt;
  const Turn& last = *turns.back();
  std::uint64_t shown = 0;
  if (sizes.body) shown = size_by_data(sizes);
  if (sizes.body && last.whole() && slack == 0) {
    auto found = answered ? std::nullopt : place_data(last, shown);
    if (!found) found = place_chunks(turns, sizes);
    if (found) return found;
  }
  if (answered) return std::nullopt;
  if (sizes.body) {
    // Shown are CRLF where the client may have sent LF, and what Postfix strips is not shown.
    const std::uint64_t most = shown + kMostUnshown + last.count * slack;
    const std::uint64_t least = shown - shown / kLeastLine;
    if (last.bytes > most || last.bytes < least) return std::nullopt;
  }
  SealedMessage message;
  append(last, 0, last.bytes, message);
  message.window = Window::Near;
  if (sizes.body) message.miss = distance(last.bytes, shown);
  return message;
}

bool is_four_letters(const Turn& turn, std::uint32_t slack) {
  return turn.count == 1 && turn.bytes >= kFourLetters && turn.bytes <= kFourLetters + slack;
}

bool splits_command(const Turn& turn) {
  return turn.count > 1 && turn.bytes < kLeastMessage && turn.records.back().plain == kCrLf;
}

void TurnJudge::turn(Turn&& turn, std::uint32_t slack) {
  answers_ = 1;
  if (part_ == Part::Greeting) {
    part_ = Part::Envelope;
    return;
  }
  const bool behind_data = std::exchange(part_, Part::Envelope) == Part::BehindData;
  if (!behind_data && is_four_letters(turn, slack)) {
    if (envelope_turns_ != 0) part_ = Part::BehindData;
    return;
  }
  const std::uint64_t least = behind_data ? kLeastBehindData : kLeastMessage;
  if (envelope_turns_ == 0 || turn.bytes < least) {
    ++envelope_turns_;
    split_command_ = split_command_ || (slack == 0 && splits_command(turn));
    return;
  }
  if (turn.whole()) {
    held_.emplace();
    append(turn, 0, turn.bytes, *held_);
    held_->data_ahead = !behind_data;
    held_->rcpt_ahead = envelope_turns_ == 1;
    held_->split_command = split_command_;
  }
  envelope_turns_ = 0;
}

std::optional<SealedMessage> TurnJudge::take(bool quit_with_dot) {
  auto message = std::exchange(held_, std::nullopt);
  if (message && quit_with_dot && message->records.back().size > kFourLetters) {
    message->quit_with_dot = true;
    message->records.back().size -= kFourLetters;
    message->records.back().after = kFourLetters;
  }
  return message;
}

std::optional<SealedMessage> TurnJudge::finish(Turn&& open, std::uint32_t slack) {
  const bool some = !open.empty();
  if (some) {
    turn(std::move(open), slack);
    if (held_) held_->cut = true;
  }
  // Nothing was said behind the message, and the server answered twice: QUIT came with it.
  return take(!some && held_ && held_->data_ahead && answers_ > 1);
}

std::optional<std::uint64_t> TurnJudge::held_from() const {
  if (!held_) return std::nullopt;
  return held_->spans.front().begin;
}

}  // namespace classifier
