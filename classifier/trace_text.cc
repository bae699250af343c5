// Reads and prints the one text form of a Trace. The grammar stands in classifier/README.md; the
// tables below are its other half: a key, a flag or a name exists once, for both directions.
// Pure functions; any thread.
//
//     segmilter/1 mss=1440 ts=yes line1=18 header=610 body=612 dot=3
//     seg=399p,29p@412,184p,1440,1377p
//
// Absent fields have the value of a fresh Trace; `size` that of the sum of all records or segments,
// since a trace whose parts do not add up is the exception that deserves the ink. The reader takes
// the fields in any order (people write them too); the printer has one order.
#include "classifier/trace_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>
#include <limits>

#include "classifier/client_hello.h"
#include "classifier/names.h"

namespace classifier {
namespace {

constexpr std::string_view kMagic = "segmilter/1";

constexpr std::array<std::string_view, 5> kVia = {"kernel", "read", "wire", "pcap", "balancer"};
constexpr std::array<std::string_view, 3> kState = {"complete", "partial", "unobserved"};
constexpr std::array<std::string_view, 15> kReason = {
    "none",     "no-session", "lost", "ambiguous", "encrypted", "full",     "dropped", "no-capture",
    "not-mail", "timeout",    "busy", "error",     "balancer",  "overload", "expired"};
constexpr std::array<std::string_view, 2> kTransfer = {"data", "bdat"};
constexpr std::array<std::string_view, 2> kYesNo = {"no", "yes"};
constexpr std::array<std::string_view, 5> kWindow = {"followed", "one-sided", "inferred", "exact",
                                                     "near"};

// Flags of a segment, in the order in which they are printed.
struct SegmentFlag {
  char letter;
  bool Segment::*member;
};
constexpr SegmentFlag kSegmentFlags[] = {
    {'p', &Segment::push}, {'r', &Segment::resent},   {'o', &Segment::late},
    {'h', &Segment::hole}, {'n', &Segment::line_end}, {'c', &Segment::cr_end},
};

// Words of `talk=`, behind the greeting.
struct TalkWord {
  std::string_view word;
  bool Dialogue::*member;
};
constexpr TalkWord kTalkWords[] = {
    {"lower", &Dialogue::lower_case},
    {"early", &Dialogue::early_talker},
    {"early-data", &Dialogue::early_data},
    {"pipelined", &Dialogue::pipelined},
    {"split", &Dialogue::split_command},
    {"bare-lf", &Dialogue::bare_lf},
    {"quit-with-dot", &Dialogue::quit_with_dot},
    {"colon-space", &Dialogue::space_after_colon},
    {"mixed-case", &Dialogue::mixed_case},
    {"soft-path", &Dialogue::soft_path},
    {"trailing-space", &Dialogue::trailing_space},
    {"fallback", &Dialogue::fallback},
    {"literal", &Dialogue::literal},
    {"dotless", &Dialogue::dotless},
    {"auth", &Dialogue::auth},
    {"rset", &Dialogue::rset},
    {"8bit", &Dialogue::eight_bit},
    {"7bit", &Dialogue::seven_bit},
    {"body-first", &Dialogue::body_first},
    {"dsn", &Dialogue::dsn},
    {"rcpt-ahead", &Dialogue::rcpt_ahead},
    {"data-ahead", &Dialogue::data_ahead},
    {"blank-end", &Dialogue::blank_end},
};
constexpr std::string_view kHelo = "helo";
constexpr std::string_view kEhlo = "ehlo";

enum class Key : std::uint8_t {
  Via,
  State,
  Reason,
  Message,
  Transfer,
  Tls,
  Version,
  Cipher,
  Slack,
  Ja4,
  Window,
  Miss,
  Size,
  Mss,
  Rtt,
  Ts,
  Syn,
  Line1,
  Header,
  Body,
  Dot,
  Fields,
  Folds,
  Talk,
  Declared,
  Chunks,
  ChunkBegins,
  Seg,
  Rec,
};
constexpr std::array<std::string_view, 29> kKeys = {
    "via",      "state",  "reason",       "msg",  "transfer", "tls",    "version", "cipher",
    "slack",    "ja4",    "window",       "miss", "size",     "mss",    "rtt",     "ts",
    "syn",      "line1",  "header",       "body", "dot",      "fields", "folds",   "talk",
    "declared", "chunks", "chunk-begins", "seg",  "rec"};

std::uint64_t sum_of_sizes(const Trace& trace) {
  if (trace.records.empty()) return segments_size(trace);
  std::uint64_t sum = 0;
  for (const Record& record : trace.records) sum += record.size;
  return sum;
}

using Out = std::back_insert_iterator<std::string>;

void print_key(Out out, Key key) {
  fmt::format_to(out, " {}=", word(kKeys, key));
}

void print_number(Out out, Key key, std::uint64_t value, std::uint64_t standard) {
  if (value == standard) return;
  print_key(out, key);
  fmt::format_to(out, "{}", value);
}

void print_word(Out out, Key key, std::string_view value, std::string_view standard) {
  if (value == standard) return;
  print_key(out, key);
  fmt::format_to(out, "{}", value);
}

// A signature is a string from a stranger's packet: what could be mistaken for the notation's own
// marks, or is not printable ASCII, is written as %XX.
void print_syn(Out out, const std::string& syn) {
  if (syn.empty()) return;
  print_key(out, Key::Syn);
  for (const char c : syn) {
    if (c > ' ' && c < '\x7f' && c != '%') {
      *out++ = c;
    } else {
      fmt::format_to(out, "%{:02X}", static_cast<unsigned char>(c));
    }
  }
}

void print_fields(Out out, const std::vector<HeaderField>& fields) {
  if (fields.empty()) return;
  print_key(out, Key::Fields);
  std::string_view comma;
  for (const HeaderField& field : fields) {
    fmt::format_to(out, "{}{}{}", comma, field.end, field.received ? "r" : "");
    comma = ",";
  }
}

void print_offsets(Out out, Key key, const std::vector<std::uint32_t>& offsets) {
  if (offsets.empty()) return;
  print_key(out, key);
  fmt::format_to(out, "{}", fmt::join(offsets, ","));
}

void print_talk(Out out, const Dialogue& dialogue) {
  bool first = true;
  const auto add = [&](std::string_view text) {
    if (first) {
      print_key(out, Key::Talk);
    } else {
      *out++ = ',';
    }
    fmt::format_to(out, "{}", text);
    first = false;
  };
  if (dialogue.greeting == Dialogue::Greeting::Helo) add(kHelo);
  if (dialogue.greeting == Dialogue::Greeting::Ehlo) add(kEhlo);
  for (const TalkWord& entry : kTalkWords) {
    if (dialogue.*entry.member) add(entry.word);
  }
}

template <typename Part>
void print_size(Out out, const Part& part) {
  if (part.before != 0) fmt::format_to(out, "{}<", part.before);
  fmt::format_to(out, "{}", part.size);
  if (part.after != 0) fmt::format_to(out, "+{}", part.after);
}

void print_run(Out out, const Record& record, std::size_t run) {
  print_size(out, record);
  if (run > 1) fmt::format_to(out, "x{}", run);
}

void print_run(Out out, const Segment& segment, std::size_t run) {
  print_size(out, segment);
  if (segment.count != 1) fmt::format_to(out, "/{}", segment.count);
  if (run > 1) fmt::format_to(out, "x{}", run);
  for (const SegmentFlag& flag : kSegmentFlags) {
    if (segment.*flag.member) *out++ = flag.letter;
  }
  if (segment.gap_us != 0) fmt::format_to(out, "@{}", segment.gap_us);
}

// Segments or records.
template <typename Part>
void print_runs(Out out, Key key, const std::vector<Part>& parts) {
  if (parts.empty()) return;
  print_key(out, key);
  for (std::size_t i = 0; i < parts.size();) {
    std::size_t end = i + 1;
    while (end < parts.size() && parts[end] == parts[i]) ++end;
    if (i != 0) *out++ = ',';
    print_run(out, parts[i], end - i);
    i = end;
  }
}

void print_hex(Out out, Key key, std::uint16_t value) {
  if (value == 0) return;
  print_key(out, key);
  fmt::format_to(out, "{:04x}", value);
}

// A cursor over the text that remembers the first mistake. Every read_* returns false once there
// is one, so callers chain them with && and look at the error at the end.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool at_end() const { return position_ == text_.size(); }
  std::size_t position() const { return position_; }
  char peek() const { return at_end() ? '\0' : text_[position_]; }
  bool skip(char c) {
    if (at_end() || text_[position_] != c) return false;
    ++position_;
    return true;
  }

  bool fail(std::string message) { return fail_at(position_, std::move(message)); }
  bool fail_at(std::size_t offset, std::string message) {
    if (!error_) error_ = TraceError{offset, std::move(message)};
    return false;
  }
  const std::optional<TraceError>& error() const { return error_; }

  // Everything up to a character of `stop` or the end.
  std::string_view token(std::string_view stop) {
    const std::size_t end = std::min(text_.find_first_of(stop, position_), text_.size());
    const std::string_view token = text_.substr(position_, end - position_);
    position_ = end;
    return token;
  }

  // A decimal number without sign or leading zeros, from `least` to the greatest T.
  template <typename T>
  bool number(T& value, T least = 0) {
    constexpr std::uint64_t most = std::numeric_limits<T>::max();
    const std::size_t begin = position_;
    std::uint64_t sum = 0;
    while (peek() >= '0' && peek() <= '9') {
      const auto digit = static_cast<std::uint64_t>(peek() - '0');
      if (sum > (most - digit) / 10) {
        return fail_at(begin, fmt::format("number is greater than {}", most));
      }
      sum = sum * 10 + digit;
      ++position_;
    }
    if (position_ == begin) return fail_at(begin, "a number should stand here");
    if (text_[begin] == '0' && position_ > begin + 1) {
      return fail_at(begin, "a number must not start with 0");
    }
    if (sum < least) return fail_at(begin, fmt::format("number is less than {}", least));
    value = static_cast<T>(sum);
    return true;
  }

  template <typename Enum, std::size_t N>
  bool choice(const std::array<std::string_view, N>& names, Enum& value) {
    const std::size_t begin = position_;
    const std::string_view text = token(" ");
    const auto found = find<Enum>(names, text);
    if (!found) {
      return fail_at(begin, fmt::format("should be one of {}", fmt::join(names, ", ")));
    }
    value = *found;
    return true;
  }

 private:
  std::string_view text_;
  std::size_t position_ = 0;
  std::optional<TraceError> error_;
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool read_syn(Reader& in, std::string& syn) {
  if (in.at_end() || in.peek() == ' ') return in.fail("a signature should stand here");
  while (!in.at_end() && in.peek() != ' ') {
    char c = in.peek();
    const std::size_t begin = in.position();
    if (c < ' ' || c > '~') return in.fail("write this character as %XX");
    in.skip(c);
    if (c == '%') {
      const int high = hex_digit(in.peek());
      if (high < 0 || !in.skip(in.peek())) return in.fail_at(begin, "% needs two digits 0-9 A-F");
      const int low = hex_digit(in.peek());
      if (low < 0 || !in.skip(in.peek())) return in.fail_at(begin, "% needs two digits 0-9 A-F");
      c = static_cast<char>(high * 16 + low);
    }
    if (syn.size() == TraceLimits::kSyn) {
      return in.fail_at(begin, fmt::format("signature is longer than {}", TraceLimits::kSyn));
    }
    syn.push_back(c);
  }
  return true;
}

bool read_fields(Reader& in, std::vector<HeaderField>& fields) {
  do {
    if (fields.size() == TraceLimits::kFields) {
      return in.fail(fmt::format("more than {} header fields", TraceLimits::kFields));
    }
    HeaderField field;
    if (!in.number(field.end)) return false;
    field.received = in.skip('r');
    fields.push_back(field);
  } while (in.skip(','));
  return true;
}

bool read_offsets(Reader& in, std::vector<std::uint32_t>& offsets) {
  do {
    if (offsets.size() == TraceLimits::kOffsets) {
      return in.fail(fmt::format("more than {} offsets", TraceLimits::kOffsets));
    }
    if (!in.number(offsets.emplace_back())) return false;
  } while (in.skip(','));
  return true;
}

bool read_talk(Reader& in, Dialogue& dialogue) {
  do {
    const std::size_t begin = in.position();
    const std::string_view text = in.token(", ");
    if (text == kHelo || text == kEhlo) {
      if (dialogue.greeting != Dialogue::Greeting::None) {
        return in.fail_at(begin, "a second greeting");
      }
      dialogue.greeting = text == kHelo ? Dialogue::Greeting::Helo : Dialogue::Greeting::Ehlo;
      continue;
    }
    const TalkWord* found = nullptr;
    for (const TalkWord& entry : kTalkWords) {
      if (entry.word == text) found = &entry;
    }
    if (found == nullptr) return in.fail_at(begin, "unknown word in talk=");
    if (dialogue.*found->member) return in.fail_at(begin, "word stands twice in talk=");
    dialogue.*found->member = true;
  } while (in.skip(','));
  return true;
}

bool read_segment_flags(Reader& in, Segment& segment) {
  // In the printer's order: then a doubled flag is out of order too, and one line has one text.
  for (const SegmentFlag& flag : kSegmentFlags) {
    if (in.skip(flag.letter)) segment.*flag.member = true;
  }
  return true;
}

template <typename Part>
bool read_size(Reader& in, Part& part) {
  const std::size_t begin = in.position();
  std::uint32_t number = 0;
  if (!in.number(number)) return false;
  if (number == 0) return in.fail_at(begin, "number is less than 1");
  if (in.skip('<')) {
    part.before = number;
    if (!in.number(part.size, 1U)) return false;
  } else {
    part.size = number;
  }
  return !in.skip('+') || in.number(part.after, 1U);
}

bool read_run(Reader& in, Record& record, std::uint32_t& run) {
  return read_size(in, record) && (!in.skip('x') || in.number(run, 2U));
}

bool read_run(Reader& in, Segment& segment, std::uint32_t& run) {
  if (!read_size(in, segment)) return false;
  if (in.skip('/') && !in.number(segment.count, 1U)) return false;
  if (in.skip('x') && !in.number(run, 2U)) return false;
  read_segment_flags(in, segment);
  return !in.skip('@') || in.number(segment.gap_us, 1U);
}

// Segments or records; `what` is their name.
template <typename Part>
bool read_runs(Reader& in, std::vector<Part>& parts, std::string_view what) {
  do {
    Part part;
    std::uint32_t run = 1;
    const std::size_t begin = in.position();
    if (!read_run(in, part, run)) return false;
    if (run > TraceLimits::kSegments - parts.size()) {
      return in.fail_at(begin, fmt::format("more than {} {}", TraceLimits::kSegments, what));
    }
    parts.insert(parts.end(), run, part);
  } while (in.skip(','));
  return true;
}

bool read_ja4(Reader& in, std::string& ja4) {
  const std::size_t begin = in.position();
  const std::string_view text = in.token(" ");
  const bool printed = std::all_of(text.begin(), text.end(), [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  if (text.size() != kJa4Size || !printed)
    return in.fail_at(begin, "a JA4 print should stand here");
  ja4 = text;
  return true;
}

// Four digits; 0000 is the absent field's.
bool read_hex(Reader& in, std::uint16_t& value) {
  const std::size_t begin = in.position();
  unsigned sum = 0;
  const std::string_view text = in.token(" ");
  for (const char c : text) {
    const int digit = c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= '0' && c <= '9' ? c - '0' : -1;
    if (digit < 0) return in.fail_at(begin, "four digits 0-9 a-f should stand here");
    sum = sum * 16 + static_cast<unsigned>(digit);
  }
  if (text.size() != 4 || sum == 0) {
    return in.fail_at(begin, "four digits 0-9 a-f should stand here");
  }
  value = static_cast<std::uint16_t>(sum);
  return true;
}

bool read_value(Reader& in, Key key, Trace& trace) {
  switch (key) {
    case Key::Via:
      return in.choice(kVia, trace.via);
    case Key::State:
      return in.choice(kState, trace.state);
    case Key::Reason:
      return in.choice(kReason, trace.reason);
    case Key::Message:
      return in.number(trace.message);
    case Key::Transfer:
      return in.choice(kTransfer, trace.transfer);
    case Key::Tls:
      return in.choice(kYesNo, trace.tls);
    case Key::Version:
      return read_hex(in, trace.hello.version);
    case Key::Cipher:
      return read_hex(in, trace.hello.cipher);
    case Key::Slack:
      return in.number(trace.hello.slack);
    case Key::Ja4:
      return read_ja4(in, trace.hello.ja4);
    case Key::Window:
      return in.choice(kWindow, trace.window);
    case Key::Size:
      return in.number(trace.size);
    case Key::Mss:
      return in.number(trace.path.mss);
    case Key::Rtt:
      return in.number(trace.path.rtt_us);
    case Key::Ts:
      return in.choice(kYesNo, trace.path.timestamps);
    case Key::Syn:
      return read_syn(in, trace.path.syn);
    case Key::Line1:
      return in.number(trace.landmarks.first_line_end);
    case Key::Header:
      return in.number(trace.landmarks.header_end);
    case Key::Body:
      return in.number(trace.landmarks.body_begin);
    case Key::Dot:
      return in.number(trace.landmarks.terminator);
    case Key::Fields:
      return read_fields(in, trace.landmarks.fields);
    case Key::Talk:
      return read_talk(in, trace.dialogue);
    case Key::Declared:
      return in.number(trace.dialogue.declared);
    case Key::Chunks:
      return in.number(trace.dialogue.chunks);
    case Key::ChunkBegins:
      return read_offsets(in, trace.chunk_begins);
    case Key::Folds:
      return read_offsets(in, trace.landmarks.folds);
    case Key::Miss:
      return in.number(trace.miss);
    case Key::Seg:
      return read_runs(in, trace.segments, "segments");
    case Key::Rec:
      return read_runs(in, trace.records, "records");
  }
  return in.fail("unknown key");
}

// The message's bytes in each segment of the wire. A segment that carries pieces of two BDAT chunks
// is two Segments (the command lies between them); what is behind the first piece and in front of
// the second tells that they are one.
std::vector<std::uint32_t> wire_sizes(const std::vector<Segment>& segments) {
  std::vector<std::uint32_t> sizes;
  sizes.reserve(segments.size());
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment& segment = segments[i];
    const bool continues = i > 0 && segments[i - 1].payload() == segment.payload() &&
                           segment.before > segments[i - 1].before + segments[i - 1].size;
    if (continues) {
      sizes.back() += segment.size;
    } else {
      sizes.push_back(segment.size);
    }
  }
  return sizes;
}

}  // namespace

std::string print(const Trace& trace) {
  const Trace fresh;
  std::string text(kMagic);
  const Out out = std::back_inserter(text);
  print_word(out, Key::Via, name(trace.via), name(fresh.via));
  print_word(out, Key::State, name(trace.state), name(fresh.state));
  print_word(out, Key::Reason, name(trace.reason), name(fresh.reason));
  print_number(out, Key::Message, trace.message, fresh.message);
  print_word(out, Key::Transfer, name(trace.transfer), name(fresh.transfer));
  print_word(out, Key::Tls, word(kYesNo, trace.tls), word(kYesNo, false));
  print_hex(out, Key::Version, trace.hello.version);
  print_hex(out, Key::Cipher, trace.hello.cipher);
  print_number(out, Key::Slack, trace.hello.slack, 0);
  print_word(out, Key::Ja4, trace.hello.ja4, {});
  print_word(out, Key::Window, name(trace.window), name(fresh.window));
  print_number(out, Key::Miss, trace.miss, 0);
  print_number(out, Key::Size, trace.size, sum_of_sizes(trace));
  print_number(out, Key::Mss, trace.path.mss, 0);
  print_number(out, Key::Rtt, trace.path.rtt_us, 0);
  print_word(out, Key::Ts, word(kYesNo, trace.path.timestamps), word(kYesNo, false));
  print_syn(out, trace.path.syn);
  print_number(out, Key::Line1, trace.landmarks.first_line_end, 0);
  print_number(out, Key::Header, trace.landmarks.header_end, 0);
  print_number(out, Key::Body, trace.landmarks.body_begin, 0);
  print_number(out, Key::Dot, trace.landmarks.terminator, 0);
  print_fields(out, trace.landmarks.fields);
  print_offsets(out, Key::Folds, trace.landmarks.folds);
  print_talk(out, trace.dialogue);
  print_number(out, Key::Declared, trace.dialogue.declared, 0);
  print_number(out, Key::Chunks, trace.dialogue.chunks, 0);
  print_offsets(out, Key::ChunkBegins, trace.chunk_begins);
  print_runs(out, Key::Seg, trace.segments);
  print_runs(out, Key::Rec, trace.records);
  return text;
}

std::variant<Trace, TraceError> parse_trace(std::string_view text) {
  if (!text.starts_with(kMagic)) return TraceError{0, "should start with segmilter/1"};
  Reader in(text.substr(kMagic.size()));
  Trace trace;
  std::uint32_t seen = 0;
  const auto bit = [](Key key) { return 1U << static_cast<unsigned>(key); };
  while (!in.error() && !in.at_end()) {
    if (!in.skip(' ')) {
      in.fail("one space should stand here");
      break;
    }
    const std::size_t begin = in.position();
    const auto key = find<Key>(kKeys, in.token("= "));
    if (!key) {
      in.fail_at(begin, "unknown key");
    } else if ((seen & bit(*key)) != 0) {
      in.fail_at(begin, "key stands twice");
    } else if (!in.skip('=')) {
      in.fail("= should stand here");
    } else {
      seen |= bit(*key);
      read_value(in, *key, trace);
    }
  }
  if (in.error()) {
    return TraceError{in.error()->offset + kMagic.size(), in.error()->message};
  }
  if ((seen & bit(Key::Size)) == 0) trace.size = sum_of_sizes(trace);
  return trace;
}

std::string_view name(Via via) {
  return word(kVia, via);
}
std::string_view name(State state) {
  return word(kState, state);
}
std::string_view name(Reason reason) {
  return word(kReason, reason);
}
std::string_view name(Transfer transfer) {
  return word(kTransfer, transfer);
}
std::string_view name(Window window) {
  return word(kWindow, window);
}
std::optional<Via> via_named(std::string_view text) {
  return find<Via>(kVia, text);
}
std::optional<State> state_named(std::string_view text) {
  return find<State>(kState, text);
}
std::optional<Reason> reason_named(std::string_view text) {
  return find<Reason>(kReason, text);
}

std::string print_sizes(const Trace& trace, std::size_t max_runs) {
  return print_sizes(wire_sizes(trace.segments), max_runs);
}

std::string print_sizes(std::span<const std::uint32_t> sizes, std::size_t max_runs) {
  // Two equal sizes stay two: "1448,1448" reads better than "1448x2" in a header.
  constexpr std::size_t kShortestRun = 3;
  std::string text;
  Out out = std::back_inserter(text);
  std::size_t runs = 0;
  for (std::size_t i = 0; i < sizes.size(); ++runs) {
    if (i != 0) *out++ = ',';
    if (runs == max_runs) {
      fmt::format_to(out, "+{}", sizes.size() - i);
      break;
    }
    std::size_t end = i + 1;
    while (end < sizes.size() && sizes[end] == sizes[i]) ++end;
    const std::size_t run = end - i < kShortestRun ? 1 : end - i;
    fmt::format_to(out, "{}", sizes[i]);
    if (run > 1) fmt::format_to(out, "x{}", run);
    i += run;
  }
  return text;
}

}  // namespace classifier
