// A recorded SMTP dialogue as a value, and a listener that writes down what the tracker reports,
// one readable line for each event. Used by the tests of the tracker and the observer.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "classifier/smtp_tracker.h"

namespace test {

struct Turn {
  bool client = false;
  std::string bytes;
};
using Script = std::vector<Turn>;

// A line of the client or of the server; CRLF is added.
inline Turn C(std::string_view line) {
  return {true, std::string(line) + "\r\n"};
}
inline Turn S(std::string_view line) {
  return {false, std::string(line) + "\r\n"};
}
// Bytes without CRLF added.
inline Turn raw(std::string_view bytes) {
  return {true, std::string(bytes)};
}
inline Turn raw_server(std::string_view bytes) {
  return {false, std::string(bytes)};
}

inline Script operator+(Script a, const Script& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline std::string client_stream(const Script& script) {
  std::string all;
  for (const Turn& turn : script) {
    if (turn.client) all += turn.bytes;
  }
  return all;
}

inline std::string_view reason_text(classifier::Reason reason) {
  switch (reason) {
    case classifier::Reason::Lost:
      return "lost";
    case classifier::Reason::Ambiguous:
      return "ambiguous";
    case classifier::Reason::Encrypted:
      return "encrypted";
    case classifier::Reason::NotMail:
      return "not mail";
    default:
      return "a reason that is not the tracker's";
  }
}

inline std::string dialogue_text(const classifier::Dialogue& d) {
  using Greeting = classifier::Dialogue::Greeting;
  std::string text = d.greeting == Greeting::None   ? "-"
                     : d.greeting == Greeting::Helo ? "helo"
                                                    : "ehlo";
  if (d.lower_case) text += " lower";
  if (d.early_talker) text += " early-talker";
  if (d.early_data) text += " early-data";
  if (d.pipelined) text += " pipelined";
  if (d.helo_ahead) text += " helo-ahead";
  if (d.bare_lf) text += " bare-lf";
  if (d.space_after_colon) text += " space";
  if (d.chunks != 0) text += " chunks=" + std::to_string(d.chunks);
  return text;
}

inline std::string landmarks_text(const classifier::Landmarks& l) {
  std::string text = "fields=";
  for (const classifier::HeaderField& field : l.fields) {
    text += std::to_string(field.end) + (field.received ? "r" : "") + ",";
  }
  return text + " header_end=" + std::to_string(l.header_end) +
         " body=" + std::to_string(l.body_begin) + " line=" + std::to_string(l.first_line_end) +
         " dot=" + std::to_string(l.terminator);
}

struct Recorder final : classifier::SmtpTracker::Listener {
  std::vector<std::string> events;
  std::vector<classifier::Message> messages;

  void on_command(classifier::Span line) override { events.push_back("command " + text(line)); }
  void on_message(classifier::Message&& message) override {
    std::string event = "message " + std::to_string(message.ordinal);
    for (const classifier::Span& span : message.spans) event += " " + text(span);
    event += " | " + landmarks_text(message.landmarks) + " | " + dialogue_text(message.dialogue);
    events.push_back(std::move(event));
    messages.push_back(std::move(message));
  }
  void on_answer(std::uint32_t ordinal) override {
    events.push_back("answer " + std::to_string(ordinal));
  }
  void on_lost(classifier::Reason reason) override {
    events.push_back("lost: " + std::string(reason_text(reason)));
  }

  static std::string text(classifier::Span span) {
    return std::to_string(span.begin) + "-" + std::to_string(span.end);
  }
  // The last loss, or empty.
  std::string lost() const {
    return !events.empty() && events.back().starts_with("lost: ") ? events.back().substr(6) : "";
  }
  bool has(std::string_view event) const {
    return std::find(events.begin(), events.end(), event) != events.end();
  }
};

// Gives each turn to the tracker in pieces. `next` returns the size of the next piece, given what
// is left of the turn. The bytes of both streams stay in the recorded order.
template <typename Tracker>
void play(const Script& script, Tracker& tracker,
          const std::function<std::size_t(std::size_t)>& next) {
  for (const Turn& turn : script) {
    std::span<const char> left(turn.bytes);
    while (!left.empty()) {
      const std::size_t size = std::min(next(left.size()), left.size());
      // Each piece is a separate copy, so that a sanitizer sees a read beyond it.
      const std::vector<char> piece(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(size));
      turn.client ? tracker.client(piece) : tracker.server(piece);
      left = left.subspan(size);
    }
  }
}

inline std::size_t uncut(std::size_t left) {
  return left;
}
inline std::size_t byte_by_byte(std::size_t) {
  return 1;
}

inline Recorder track(const Script& script,
                      const std::function<std::size_t(std::size_t)>& next = uncut,
                      classifier::SmtpTracker::Limits limits = {}) {
  Recorder recorder;
  classifier::SmtpTracker tracker(recorder, limits);
  play(script, tracker, next);
  return recorder;
}

// The usual beginning of a session, up to the recipient.
inline Script opened() {
  return {S("220 mx.example.org ESMTP"), C("EHLO client.example"),
          S("250-mx.example.org"),       S("250 CHUNKING"),
          C("MAIL FROM:<a@b.example>"),  S("250 2.1.0 Ok"),
          C("RCPT TO:<c@d.example>"),    S("250 2.1.5 Ok")};
}

}  // namespace test
