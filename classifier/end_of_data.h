// Finds the end of a DATA message, incrementally: RFC 5321, 4.1.1.4 and 4.5.2.
//
// The end is the line that holds only a dot, and servers do not agree on what a line is. Postfix
// reads up to a LF and drops every CR in front of it; with smtpd_forbid_bare_newline, and in other
// servers, only CRLF ends a line. Where both readings give the same end we say End, where they
// differ we say Ambiguous: then the server's answer tells, or nobody does (smtp_tracker.h):
//
//     <CRLF> .     <CRLF>    End (also at the very start: an empty message)
//     <LF>   .     <CRLF>    Ambiguous: the line in front of the dot ends in a bare LF
//     <CRLF> .     <LF>      Ambiguous
//     <CRLF> . <CR><CRLF>    Ambiguous: Postfix drops both CRs, others see a dot and a CR
//     <CR>   .     <CRLF>    nothing: the dot is in the middle of a line that ends in LF
//     <CRLF> . <CR> x        nothing: not a line of its own
//
// Postfix cuts lines longer than line_length_limit, but what follows such a cut is never looked at
// as the start of a line, so the length of a line plays no part here.
//
// Used by message_reader.cc and smtp_tracker.cc only. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace classifier {

class EndOfData {
 public:
  enum class Found : std::uint8_t { Nothing, End, Ambiguous };
  struct Step {
    std::size_t used = 0;  // bytes that belong to the message; all of them when Nothing was found
    Found found = Found::Nothing;
    // Bytes of the dot's line: 3, or what was ambiguous about it (4: more).
    std::uint8_t dot_line = 0;
  };

  // Requires: not called again after it found something.
  Step scan(std::span<const char> bytes) {
    const char* p = bytes.data();
    const char* const end = p + bytes.size();
    while (p != end) {
      if (line_ == Line::Within) {
        p = skip_to_dot(p, end);
        continue;
      }
      const char c = *p;
      if (line_ == Line::Start && c == '.') {
        line_ = Line::Dot;
        returns_ = 0;
      } else if (line_ == Line::Dot && c == '\r') {
        if (returns_ < 2) ++returns_;
      } else if (line_ == Line::Dot && c == '\n') {
        const bool clean = clean_start_ && returns_ == 1;
        return {static_cast<std::size_t>(p + 1 - bytes.data()),
                clean ? Found::End : Found::Ambiguous, static_cast<std::uint8_t>(2 + returns_)};
      } else {
        line_ = Line::Within;  // and look at the same byte again: it may be a LF
        continue;
      }
      previous_ = c;
      ++p;
    }
    return {bytes.size(), Found::Nothing};
  }

 private:
  //     Start ──'.'──► Dot ──CR──► Dot ──LF──► found
  //       │             │ other
  //       └──other──────┴──► Within ──LF, then the end of the bytes──► Start
  //                          Within ──LF '.'──► Dot
  enum class Line : std::uint8_t {
    Start,   // the next byte is the first of a line
    Dot,     // the line so far is a dot, perhaps with CRs behind it
    Within,  // in a line that is not the end
  };

  // The body's hot loop: two compares a byte without a branch, which the compiler turns into
  // vectors, and so the same speed for short and long lines. Not memchr for LF, because a body of
  // empty lines then costs a call a byte.
  static const char* find_lf_dot(const char* p, const char* end) {
    constexpr std::ptrdiff_t kBlock = 64;
    while (end - p > kBlock) {
      unsigned char hit = 0;
      for (std::ptrdiff_t i = 0; i < kBlock; ++i) {
        hit = static_cast<unsigned char>(hit | ((p[i] == '\n') & (p[i + 1] == '.')));
      }
      if (hit != 0) break;
      p += kBlock;
    }
    for (; p + 1 < end; ++p) {
      p = static_cast<const char*>(std::memchr(p, '\n', static_cast<std::size_t>(end - p - 1)));
      if (p == nullptr) break;
      if (p[1] == '.') return p;
    }
    return nullptr;
  }

  // Requires: line_ is Within, p != end. Returns where to go on.
  const char* skip_to_dot(const char* p, const char* end) {
    const char* lf = find_lf_dot(p, end);
    const bool at_end = lf == nullptr;
    if (at_end) lf = end - 1;
    if (*lf == '\n') {
      clean_start_ = (lf == p ? previous_ : lf[-1]) == '\r';
      line_ = at_end ? Line::Start : Line::Dot;
      returns_ = 0;
    }
    previous_ = at_end ? end[-1] : '.';
    return at_end ? end : lf + 2;
  }

  Line line_ = Line::Start;
  bool clean_start_ = true;   // the line began behind CRLF or at the message's start
  std::uint8_t returns_ = 0;  // CRs behind the dot; 2 stands for more than one
  char previous_ = '\0';      // the last byte that was scanned
};

}  // namespace classifier
