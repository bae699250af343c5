#include "classifier/behind_gap.h"

#include <array>

namespace classifier {
namespace {

// What a client sends instead of text when DATA was refused.
constexpr std::array<std::string_view, 4> kInsteadOfText = {"QUIT\r\n", "RSET\r\n",
                                                            "MAIL FROM:", "EHLO "};

constexpr std::array<std::string_view, 9> kKnownAgain = {
    "EHLO ", "HELO ",    "MAIL FROM:", "RCPT TO:",    "DATA\r\n",
    "BDAT ", "RSET\r\n", "QUIT\r\n",   "STARTTLS\r\n"};

// This many lines that are not commands are text.
constexpr std::uint32_t kLinesOfText = 3;
// More bytes than this cannot all be commands.
constexpr std::uint64_t kLongestCommands = 1024;
// Up to this many bytes can all be commands, because every message is longer.
constexpr std::uint64_t kShortCommands = 32;

}  // namespace

bool is_command_behind_gap(std::string_view line) {
  return begins_like_any(line, kKnownAgain);
}

int assumed_reply(Asked asked, const Following& next) {
  switch (asked) {
    case Asked::Data:
      if (next.is_text) return 354;
      if (may_begin_like_any(next.bytes, kInsteadOfText)) return 0;
      return begins_like_any(next.bytes, kInsteadOfText) ? 554 : 354;
    case Asked::Auth: {
      if (next.bytes.find('\n') == next.bytes.npos) return 0;
      return Command(next.bytes).verb == nullptr ? 334 : 235;
    }
    case Asked::StartTls:
    case Asked::XClient:
      return 220;
    case Asked::Quit:
      return 221;
    case Asked::End:
      return next.end_doubted && next.bytes.empty() ? 0 : 250;
    case Asked::Plain:
    case Asked::Reset:
    case Asked::Chunk:
      break;
  }
  return 250;
}

bool GapSearch::gap(std::uint64_t size, bool certainly_text) {
  gap_bytes_ += size;
  const bool reported = searching_ && reported_;
  const bool text = certainly_text || (size > kLongestCommands && !reported);
  begin();
  reported_ = reported || text;
  return text && !reported;
}

void GapSearch::begin() {
  commands_missed_ = searching_ = true;
  reported_ = false;
  skipped_lines_ = 0;
}

void GapSearch::message_begins() {
  commands_missed_ = false;
  gap_bytes_ = 0;
}

GapSearch::Line GapSearch::line(std::string_view text) {
  if (!searching_) return Line::Command;
  if (is_command_behind_gap(text)) {
    searching_ = false;
    first_found_ = true;
    return Line::Command;
  }
  ++skipped_lines_;
  const bool dot = text == ".\r\n";
  const bool is_text = dot || skipped_lines_ == kLinesOfText;
  const bool reported = reported_;
  reported_ = !dot && (reported_ || is_text);
  return is_text && !reported ? Line::SkippedText : Line::Skipped;
}

bool GapSearch::hid_text(bool open) {
  const bool room = std::exchange(gap_bytes_, 0) > kShortCommands;
  return open && commands_missed_ && room && !reported_;
}

}  // namespace classifier
