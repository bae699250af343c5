// What Postfix shows of one message, measured as SMTP carries it: sizes, and where header fields
// end. Under TLS it is all that is known of the text; it places the message among the records.
// The envelope's size is that of its commands as RFC 5321 spells them; a client that writes
// `MAIL From: <a@b>` has said more than was counted.
//
// A field is shown as its name and its value, line ends in it as LF; on the wire it had a colon
// between them and CRLF at each line end. With SMFIP_HDR_LEADSPC the value has the blank behind the
// colon, if there was one; without it Postfix has taken one away. The body is shown with CRLF.
// Pure; one a message.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "classifier/message_sizes.h"
#include "classifier/trace.h"

namespace filter {

class Shown {
 public:
  // Postfix sends a body in parts of at most so many bytes: a smaller one is the last.
  // MILTER_CHUNK_SIZE of libmilter and Postfix.
  static constexpr std::size_t kPart = 65535;

  // `path` with its angle brackets; each parameter of the command.
  void mail(std::string_view path) { mail_ = path.size(); }
  void mail_parameter(std::string_view text) { mail_ += 1 + text.size(); }
  void rcpt(std::string_view path);
  void rcpt_parameter(std::string_view text) { rcpt_ += 1 + text.size(); }
  // `blank_taken`: without SMFIP_HDR_LEADSPC.
  void header(std::string_view name, std::string_view value, bool blank_taken);
  // A part of the body.
  void body(std::string_view bytes);
  // The next part is not shown.
  void body_unseen() { sizes_.body.reset(); }

  // Of all that was shown.
  classifier::ShownSizes sizes() const;
  // The last line of the text is empty: its body ends so, or there is none behind the header's
  // blank line. False where the body was not counted.
  bool blank_end() const { return sizes_.body && line_begins_ && last_line_ <= kCrLf; }
  // Bytes of the whole message as `transfer` carries it; nothing where the body was not counted.
  std::optional<std::uint64_t> size(classifier::Transfer transfer) const;
  // Of a message that was sent by `transfer`, without the fields that somebody else has `added`.
  classifier::Landmarks landmarks(classifier::Transfer transfer,
                                  const classifier::Added& added = {}) const;

 private:
  static constexpr std::uint32_t kCrLf = 2;

  // Bytes behind the colon of MAIL, and of the last RCPT; 0: there was none.
  std::uint64_t mail_ = 0;
  std::uint64_t rcpt_ = 0;
  classifier::ShownSizes sizes_{.header = kCrLf, .body = 0};
  classifier::Landmarks marks_;
  bool line_begins_ = true;
  std::uint64_t line_ = 0;           // bytes of the body's line in hand
  std::uint64_t last_line_ = kCrLf;  // of the last whole one
};

}  // namespace filter
