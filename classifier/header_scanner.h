// Finds the header fields of a message and the place where its body begins, piece by piece. Of a
// line only the field name is read byte by byte; the rest is skipped up to its LF. The text of a
// few fields is kept, up to a limit: those in which a message says which program sent it (Claims).
//
// It reads as Postfix does (is_header_buf and mime_state.c, smtpd.c for DATA), because the readers
// of the mail will see what Postfix saw:
// - A line ends at LF; CRs before it do not count.
// - A field name consists of printable ASCII; blanks may stand between name and colon.
// - A line that is no field, no folded line and not blank ends the header section. The body begins
//   there.
// - With DATA, a dot at a line's start is not part of the line. Leading mbox lines (`From `, `>From
//   `) are a field, since Postfix turns them into X-Mailbox-Line.
//
// Used by message_reader.cc only. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "classifier/claims.h"
#include "classifier/stream.h"
#include "classifier/trace.h"
#include "text/ascii.h"

namespace classifier {

class HeaderScanner {
 public:
  explicit HeaderScanner(Transfer transfer = Transfer::Data) : transfer_(transfer) {}

  // The next bytes of the message. Cheap once the header section is over.
  void feed(std::span<const char> bytes) {
    if (!first_line_seen_) find_first_line(bytes);
    const char* p = bytes.data();
    const char* const end = p + bytes.size();
    while (p != end && at_ != At::Body) p = step(p, end);
    offset_ += static_cast<std::uint64_t>(end - p);
  }

  bool over() const { return at_ == At::Body; }

  // The message is over. Returns its landmarks, except `terminator`.
  Landmarks finish() {
    if (at_ == At::Value) {
      end_field_line();
    } else if (at_ == At::Name || at_ == At::Blanks) {
      end_section(line_);
    }
    if (at_ != At::Body) out_.header_end = fields_end_;
    return std::move(out_);
  }

  // Returns the claims of the fields so far. Requires: called once.
  Claims take_claims() { return std::move(claims_); }

 private:
  //     LineStart ──'.' (DATA)──► Dotted ─┐
  //        │ CR ──► Empty ──LF──► Body    │
  //        │ blank, field open ──► Value  │ as from LineStart
  //        ▼ name byte ◄──────────────────┘
  //      Name ──blank──► Blanks ──':'──► Value ──LF──► LineStart
  //        └──':'──► Value           anything else ──► Body
  enum class At : std::uint8_t {
    LineStart,
    Dotted,  // after the dot that DATA puts before a line's own dot
    Empty,   // only CRs in the line so far
    Name,    // in what may be a field name
    Blanks,  // between field name and colon
    Value,   // after the colon or in a folded line: up to the LF
    Body,    // the header section is over
  };

  static constexpr std::string_view kReceived = "received";
  static constexpr std::string_view kMbox = "From";

  void find_first_line(std::span<const char> bytes) {
    if (bytes.empty()) return;
    const void* lf = std::memchr(bytes.data(), '\n', bytes.size());
    if (lf == nullptr) return;
    first_line_seen_ = true;
    out_.first_line_end = to_u32(offset_ + 1 + (static_cast<const char*>(lf) - bytes.data()));
  }

  const char* step(const char* p, const char* end) {
    if (at_ == At::Value) return skip_value(p, end);
    const char c = *p;
    switch (at_) {
      case At::LineStart:
        begin_line(c);
        break;
      case At::Dotted:
        begin_content(c);
        break;
      case At::Empty:
        in_empty(c);
        break;
      case At::Name:
        in_name(c);
        break;
      case At::Blanks:
        in_blanks(c);
        break;
      case At::Value:
      case At::Body:
        break;
    }
    ++offset_;
    return p + 1;
  }

  const char* skip_value(const char* p, const char* end) {
    const auto* lf =
        static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p)));
    const char* next = lf == nullptr ? end : lf + 1;
    offset_ += static_cast<std::uint64_t>(next - p);
    if (claim_ != nullptr) {
      const std::size_t room = Claims::kLongest - std::min(claim_->size(), Claims::kLongest);
      claim_->append(p, std::min(room, static_cast<std::size_t>(next - p)));
    }
    if (lf != nullptr) {
      end_field_line();
      at_ = At::LineStart;
    }
    return next;
  }

  void begin_line(char c) {
    line_ = offset_;
    dotted_ = transfer_ == Transfer::Data && c == '.';
    if (dotted_) {
      at_ = At::Dotted;
      mbox_lines_ = false;
    } else {
      begin_content(c);
    }
  }

  void begin_content(char c) {
    name_size_ = 0;
    received_ = 0;
    mbox_ = 0;
    if (c == '\r' || c == '\n') {
      at_ = At::Empty;
      in_empty(c);
    } else if ((c == ' ' || c == '\t') && field_open_ && !mbox_lines_) {
      at_ = At::Value;
    } else {
      at_ = At::Name;
      in_name(c);
    }
  }

  // An empty line after a dot is not a blank line but the end of DATA; finish() follows.
  void in_empty(char c) {
    if (c == '\r') return;
    if (c != '\n') {
      end_section(line_);
    } else if (!dotted_) {
      out_.header_end = to_u32(line_);
      out_.body_begin = to_u32(offset_ + 1);
      at_ = At::Body;
    }
  }

  void in_name(char c) {
    if (c == ':' && name_size_ > 0) return begin_field(false);
    if ((c == ' ' || c == '\t') && name_size_ > 0) {
      if (c == ' ' && mbox_lines_ && mbox_ == kMbox.size()) return begin_field(true);
      at_ = At::Blanks;
      return;
    }
    if (c <= ' ' || c >= 0x7f || c == ':') return end_section(line_);
    note_name_byte(c);
  }

  void in_blanks(char c) {
    if (c == ':') return begin_field(false);
    if (c != ' ' && c != '\t') end_section(line_);
  }

  void note_name_byte(char c) {
    const char lower = text::lower(c);
    const bool fits = received_ == name_size_ && received_ < kReceived.size();
    if (fits && lower == kReceived[received_]) ++received_;
    if (name_size_ < name_.size()) name_[name_size_] = lower;
    if (name_size_ < std::numeric_limits<std::uint32_t>::max()) ++name_size_;
    if (mbox_ < kMbox.size() && c == kMbox[mbox_]) {
      ++mbox_;
    } else if (c != '>' || mbox_ != 0) {
      mbox_ = kMbox.size() + 1;  // can no longer match
    }
  }

  void begin_field(bool mbox) {
    mbox_lines_ = mbox;
    at_ = At::Value;
    field_open_ = true;
    const bool received = name_size_ == kReceived.size() && received_ == kReceived.size();
    kept_ = out_.fields.size() < Landmarks::kMaxFields;
    if (kept_) out_.fields.push_back({.end = 0, .received = received});
    claim_ = mbox ? nullptr : claim_of(received);
  }

  // Returns where the text of the open field is kept; null: nowhere. The first field of a kind
  // counts.
  std::string* claim_of(bool received) {
    std::string* claim = nullptr;
    if (received) {
      claim = &claims_.received;
    } else if (name_size_ <= name_.size()) {
      const std::string_view name(name_.data(), name_size_);
      if (name == "x-mailer" || name == "user-agent") claim = &claims_.mailer;
    }
    return claim != nullptr && claim->empty() ? claim : nullptr;
  }

  void end_field_line() {
    fields_end_ = to_u32(offset_);
    if (kept_) out_.fields.back().end = fields_end_;
  }

  void end_section(std::uint64_t offset) {
    out_.header_end = out_.body_begin = to_u32(offset);
    at_ = At::Body;
  }

  Transfer transfer_;
  At at_ = At::LineStart;
  Landmarks out_;
  std::uint64_t offset_ = 0;      // message bytes seen
  std::uint64_t line_ = 0;        // where the current line began
  std::uint32_t fields_end_ = 0;  // end of the last whole line of a field
  std::uint32_t name_size_ = 0;
  std::array<char, 10> name_{};  // its first bytes, in lower case: "user-agent" is the longest
  Claims claims_;
  std::string* claim_ = nullptr;  // the claim that the open field makes
  std::size_t received_ = 0;      // bytes of the name that agree with kReceived
  std::size_t mbox_ = 0;          // bytes that agree with kMbox, after any number of '>'
  bool mbox_lines_ = transfer_ == Transfer::Data;  // only mbox lines so far
  bool dotted_ = false;                            // the line began with the dot of DATA
  bool field_open_ = false;  // there is a field to which a folded line can belong
  bool kept_ = false;        // the open field is among the first kMaxFields
  bool first_line_seen_ = false;
};

}  // namespace classifier
