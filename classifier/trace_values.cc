#include "classifier/trace_values.h"

#include <fmt/compile.h>

#include <algorithm>

#include "classifier/client_hello.h"
#include "classifier/dialogue_words.h"
#include "text/ascii.h"

namespace classifier::values {
namespace {

constexpr std::string_view kYes = "yes";
constexpr std::string_view kNo = "no";
constexpr std::string_view kHelo = "helo";
constexpr std::string_view kEhlo = "ehlo";

// The flags of a segment, in the order in which they are printed.
struct SegmentFlag {
  char letter;
  bool Segment::*member;
};
constexpr SegmentFlag kSegmentFlags[] = {
    {'p', &Segment::push}, {'r', &Segment::resent},   {'o', &Segment::late},
    {'h', &Segment::hole}, {'n', &Segment::line_end}, {'c', &Segment::cr_end},
};

int hex_digit(char c, char ten) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= ten && c < ten + 6) return c - ten + 10;
  return -1;
}

// Reads the two digits after a % sign.
bool read_escaped(TraceReader& in, char& c) {
  const std::size_t percent = in.position() - 1;
  int value = 0;
  for (int i = 0; i < 2; ++i) {
    const int digit = hex_digit(in.peek(), 'A');
    if (digit < 0) return in.fail_at(percent, "% needs two digits 0-9 A-F");
    in.skip(in.peek());
    value = value * 16 + digit;
  }
  c = static_cast<char>(value);
  return true;
}

// A trace has hundreds of parts: their formats are read when the program is compiled.
template <typename Part>
void print_size(Out out, const Part& part) {
  if (part.before != 0) fmt::format_to(out, FMT_COMPILE("{}<"), part.before);
  fmt::format_to(out, FMT_COMPILE("{}"), part.size);
  if (part.after != 0) fmt::format_to(out, FMT_COMPILE("+{}"), part.after);
}

void print_run(Out out, const Record& record, std::size_t run) {
  print_size(out, record);
  if (run > 1) fmt::format_to(out, FMT_COMPILE("x{}"), run);
}

void print_run(Out out, const Segment& segment, std::size_t run) {
  print_size(out, segment);
  if (segment.count != 1) fmt::format_to(out, FMT_COMPILE("/{}"), segment.count);
  if (run > 1) fmt::format_to(out, FMT_COMPILE("x{}"), run);
  for (const SegmentFlag& flag : kSegmentFlags) {
    if (segment.*flag.member) *out++ = flag.letter;
  }
  if (segment.gap_us != 0) fmt::format_to(out, FMT_COMPILE("@{}"), segment.gap_us);
}

void read_flags(TraceReader& in, Segment& segment) {
  // Flags are read in the printer's order. So a repeated flag is an error too, and each trace has
  // one text.
  for (const SegmentFlag& flag : kSegmentFlags) {
    if (in.skip(flag.letter)) segment.*flag.member = true;
  }
}

template <typename Part>
bool read_size(TraceReader& in, Part& part) {
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

bool read_run(TraceReader& in, Record& record, std::uint32_t& run) {
  return read_size(in, record) && (!in.skip('x') || in.number(run, 2U));
}

bool read_run(TraceReader& in, Segment& segment, std::uint32_t& run) {
  if (!read_size(in, segment)) return false;
  if (in.skip('/') && !in.number(segment.count, 1U)) return false;
  if (in.skip('x') && !in.number(run, 2U)) return false;
  read_flags(in, segment);
  return !in.skip('@') || in.number(segment.gap_us, 1U);
}

template <typename Part>
void print_runs(Out out, const std::vector<Part>& parts) {
  for (std::size_t i = 0; i < parts.size();) {
    std::size_t end = i + 1;
    while (end < parts.size() && parts[end] == parts[i]) ++end;
    if (i != 0) *out++ = ',';
    print_run(out, parts[i], end - i);
    i = end;
  }
}

// `what`: the name of the parts in an error.
template <typename Part>
bool read_runs(TraceReader& in, std::vector<Part>& parts, std::string_view what) {
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

}  // namespace

void Flag::print(Out out, bool value) {
  fmt::format_to(out, "{}", value ? kYes : kNo);
}

bool Flag::read(TraceReader& in, bool& value) {
  const std::size_t begin = in.position();
  const std::string_view text = in.token(" ");
  if (text != kYes && text != kNo) {
    return in.fail_at(begin, fmt::format("should be one of {}, {}", kNo, kYes));
  }
  value = text == kYes;
  return true;
}

void Hex::print(Out out, std::uint16_t value) {
  fmt::format_to(out, "{:04x}", value);
}

bool Hex::read(TraceReader& in, std::uint16_t& value) {
  const std::size_t begin = in.position();
  const std::string_view text = in.token(" ");
  unsigned sum = 0;
  bool digits = text.size() == 4;
  for (std::size_t i = 0; digits && i < text.size(); ++i) {
    const int digit = hex_digit(text[i], 'a');
    digits = digit >= 0;
    sum = sum * 16 + static_cast<unsigned>(digit);
  }
  if (!digits || sum == 0) return in.fail_at(begin, "four digits 0-9 a-f should stand here");
  value = static_cast<std::uint16_t>(sum);
  return true;
}

void Ja4::print(Out out, const std::string& value) {
  fmt::format_to(out, "{}", value);
}

bool Ja4::read(TraceReader& in, std::string& value) {
  const std::size_t begin = in.position();
  const std::string_view text = in.token(" ");
  const bool printed = std::all_of(text.begin(), text.end(), [](char c) {
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  });
  if (text.size() != kJa4Size || !printed) {
    return in.fail_at(begin, "a JA4 fingerprint should stand here");
  }
  value = text;
  return true;
}

void Syn::print(Out out, const std::string& value) {
  for (const char c : value) {
    if (text::is_visible(c) && c != '%') {
      *out++ = c;
    } else {
      fmt::format_to(out, "%{:02X}", static_cast<unsigned char>(c));
    }
  }
}

bool Syn::read(TraceReader& in, std::string& value) {
  if (in.at_end() || in.peek() == ' ') return in.fail("a signature should stand here");
  while (!in.at_end() && in.peek() != ' ') {
    char c = in.peek();
    const std::size_t begin = in.position();
    if (!text::is_visible(c)) return in.fail("write this character as %XX");
    in.skip(c);
    if (c == '%' && !read_escaped(in, c)) return false;
    if (value.size() == TraceLimits::kSyn) {
      return in.fail_at(begin, fmt::format("signature is longer than {}", TraceLimits::kSyn));
    }
    value.push_back(c);
  }
  return true;
}

void Fields::print(Out out, const std::vector<HeaderField>& fields) {
  std::string_view comma;
  for (const HeaderField& field : fields) {
    fmt::format_to(out, "{}{}{}", comma, field.end, field.received ? "r" : "");
    comma = ",";
  }
}

bool Fields::read(TraceReader& in, std::vector<HeaderField>& fields) {
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

void Offsets::print(Out out, const std::vector<std::uint32_t>& offsets) {
  fmt::format_to(out, "{}", fmt::join(offsets, ","));
}

bool Offsets::read(TraceReader& in, std::vector<std::uint32_t>& offsets) {
  do {
    if (offsets.size() == TraceLimits::kOffsets) {
      return in.fail(fmt::format("more than {} offsets", TraceLimits::kOffsets));
    }
    if (!in.number(offsets.emplace_back())) return false;
  } while (in.skip(','));
  return true;
}

bool Talk::differs(const Dialogue& dialogue, const Dialogue& fresh) {
  if (dialogue.greeting != fresh.greeting) return true;
  return std::any_of(kDialogueWords.begin(), kDialogueWords.end(), [&](const DialogueWord& row) {
    return row.member != nullptr && dialogue.*row.member;
  });
}

void Talk::print(Out out, const Dialogue& dialogue) {
  std::string_view comma;
  const auto add = [&](std::string_view text) {
    fmt::format_to(out, "{}{}", comma, text);
    comma = ",";
  };
  if (dialogue.greeting == Dialogue::Greeting::Helo) add(kHelo);
  if (dialogue.greeting == Dialogue::Greeting::Ehlo) add(kEhlo);
  for (const DialogueWord& row : kDialogueWords) {
    if (row.member != nullptr && dialogue.*row.member) add(row.word);
  }
}

bool Talk::read(TraceReader& in, Dialogue& dialogue) {
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
    const auto* found = std::find_if(
        kDialogueWords.begin(), kDialogueWords.end(),
        [&](const DialogueWord& row) { return row.member != nullptr && row.word == text; });
    if (found == kDialogueWords.end()) return in.fail_at(begin, "unknown word in talk=");
    if (dialogue.*found->member) return in.fail_at(begin, "word stands twice in talk=");
    dialogue.*found->member = true;
  } while (in.skip(','));
  return true;
}

void Runs::print(Out out, const std::vector<Segment>& segments) {
  print_runs(out, segments);
}
void Runs::print(Out out, const std::vector<Record>& records) {
  print_runs(out, records);
}
bool Runs::read(TraceReader& in, std::vector<Segment>& segments) {
  return read_runs(in, segments, "segments");
}
bool Runs::read(TraceReader& in, std::vector<Record>& records) {
  return read_runs(in, records, "records");
}

}  // namespace classifier::values
