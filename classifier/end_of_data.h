// Finds the end of a DATA message, piece by piece: RFC 5321, 4.1.1.4 and 4.5.2.
//
// The end is the line that holds only a dot, and servers do not agree on what a line is. Postfix
// reads up to a LF and drops every CR before it. With smtpd_forbid_bare_newline, and in other
// servers, only CRLF ends a line. Where both readings give the same end, the result is End. Where
// they differ, it is Ambiguous: then only the server's answer can show it (smtp_tracker.h):
//
//     <CRLF> .     <CRLF>    End (also at the very start: an empty message)
//     <LF>   .     <CRLF>    Ambiguous: the line before the dot ends in a bare LF
//     <CRLF> .     <LF>      Ambiguous
//     <CRLF> . <CR><CRLF>    Ambiguous: Postfix drops both CRs, others see a dot and a CR
//     <CR>   .     <CRLF>    nothing: the dot is in the middle of a line that ends in LF
//     <CRLF> . <CR> x        nothing: the line holds more than the dot
//
// Postfix cuts lines longer than line_length_limit. But it never takes the bytes after such a cut
// for the start of a line, so the length of a line does not matter here.
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
    std::size_t used = 0;  // bytes that belong to the message; all of them if Found is Nothing
    Found found = Found::Nothing;
    // Bytes of the dot's line: 3 where it is clean, 2 without CR, 4 with more than one CR.
    std::uint8_t dot_line = 0;
  };

  // Requires: no earlier call has found something.
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
        line_ = Line::Within;  // this byte is read again: it may be a LF
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
    Dot,     // the line so far is a dot, perhaps with CRs after it
    Within,  // inside a line that is not the end
  };

  // The inner loop for bodies. It makes two comparisons for each byte and no branch, which the
  // compiler turns into vector instructions. So short and long lines take the same time. memchr for
  // LF is not used: in a body of empty lines it would be called for every second byte.
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
  bool clean_start_ = true;   // the line began after CRLF or at the message's start
  std::uint8_t returns_ = 0;  // CRs after the dot; 2 stands for more than one
  char previous_ = '\0';      // the last byte of the bytes before
};

}  // namespace classifier
